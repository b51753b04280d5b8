-- leave: unregisters a worker process that holds no job any more.
--
-- in:   worker
-- out:  nothing
-- uses: lib/store
-- full: goes on
call('HDEL', root .. 'worker', given.worker)
return {}
