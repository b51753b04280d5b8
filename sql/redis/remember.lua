-- remember: notes the store's environment, if none has been noted before.
--
-- in:   environment text, or nothing
-- out:  nothing
-- uses: lib/store
-- full: goes on
-- trap: what was noted stays, also when a worker elsewhere asks: a copy of the store must be adopted.
call('HSET', root .. 'home', 'noted', '1')
if given.environment then call('HSETNX', root .. 'home', 'environment', given.environment) end
return {}
