-- leave: a worker process goes, with nothing left in its hands.
--
-- in:   worker
-- out:  nothing
-- uses: store
call('HDEL', root .. 'worker', given.worker)
return {}
