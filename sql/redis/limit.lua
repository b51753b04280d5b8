-- limit: sets what a queue allows, as code declares it, or as somebody changes it at run time.
--
-- in:   queue
--       declared JSON text of all that code declares; or nothing. A field that is declared anew wins over a change
--       changed  JSON text of the fields to change, null for one that is taken away; or nothing
--       reset    boolean: forget all changes first
-- out:  limits, as they are from the next claim on: JSON text, or null
-- uses: lib/combined_limits
-- full: goes on
local queue = given.queue
local before = fields_in('declared', queue)
local changes = given.reset and {} or fields_in('changes', queue)
for name, value in pairs(given.changed and cjson.decode(given.changed) or {}) do changes[name] = value end
if given.declared then
    local now = cjson.decode(given.declared)
    for name in pairs(changes) do
        if not is_same(before[name], now[name]) then changes[name] = nil end
    end
    call('HSET', root .. 'declared', queue, given.declared)
end
call('HSET', root .. 'changes', queue, next(changes) == nil and '{}' or cjson.encode(changes))
call('SADD', root .. 'settings', queue)
return {{{settle_limits(queue)}}}
