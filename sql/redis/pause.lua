-- pause: claim hands out nothing from this queue; running jobs go on.
--
-- in:   queue · now
-- out:  nothing
-- uses: lib/store
-- full: goes on
call('HSETNX', root .. 'paused', given.queue, clock(given))
call('SADD', root .. 'settings', given.queue)
return {}
