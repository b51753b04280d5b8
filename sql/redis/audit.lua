-- audit: notes what somebody did.
--
-- in:   who, verb · target, filter, answer, reason · count · now
-- out:  no rows
-- uses: lib/store
-- full: goes on
local id = call('INCR', root .. 'audit_id')
local entry = {clock(given), given.who, given.verb, given.target or false, given.filter or false, given.count or false,
               given.answer or false, given.reason or false}
call('HSET', root .. 'audit', id, cmsgpack.pack(entry))
call('ZADD', root .. 'audits', id, id)
if given.target then call('ZADD', root .. 'audits:' .. given.target, id, id) end
return {{}}
