-- leave: a worker process that holds no job any more unregisters.
--
-- in:   worker
-- out:  nothing
-- uses: lib/store
-- full: goes on
call('HDEL', root .. 'worker', given.worker)
return {}
