-- resume: claim hands out this queue's jobs again.
--
-- in:   queue
-- out:  nothing
-- uses: lib/store
-- full: goes on
call('HDEL', root .. 'paused', given.queue)
wake(given.queue)
return {}
