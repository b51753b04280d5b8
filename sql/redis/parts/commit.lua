-- commit: carries several operations out as one: all of them, or none.
--
-- in:   operations list of {name, what it is given, how many rows it has answered, or their text, if it could be asked before}
--       holders  {key: id, or false for nobody}: what the operations rest on · leases list of {id, lease} · states list of
--                {id, state}
--       once     boolean: called once and not again, whatever an earlier graph has left over
--       now
-- out:  true; false when something that they rest on has changed meanwhile: then nothing was done
-- uses: lib/settle
-- runs: begin, enqueue, enqueue_unique, enqueue_once, link, graft, complete, advance, fired, record, cancel, audit
-- trap: a pipeline may have begun to carry out the transaction, and Redis undoes nothing: there the job is written even
--       if memory has become full since `prepare` drew its id. Only `prepare` refuses then, as all other verbs do.
local verbs = {begin = begin, enqueue = enqueue, enqueue_unique = enqueue_unique, enqueue_once = enqueue_once,
               link = link, graft = graft, complete = complete,
               advance = advance, fired = fired, record = record, cancel = cancel, audit = audit}
if given.once then even_if_full() end
if not is_settled(given) then return end
for key, holder in pairs(given.holders) do
    if tonumber(call('HGET', root .. 'unique', key) or nil) ~= (holder or nil) then return {{{false}}} end
end
for _, row in ipairs(given.leases) do
    local job = read({row[1]})[1]
    if not job or job[LEASE] ~= row[2] then return {{{false}}} end
end
for _, row in ipairs(given.states) do
    local job = read({row[1]})[1]
    if not job or job[STATE] ~= row[2] then return {{{false}}} end
end
for _, operation in ipairs(given.operations) do
    if operation[3] then
        operation[2].look = true
        local said = verbs[operation[1]](operation[2])
        if (type(operation[3]) == 'string' and said[2][1][1] or #said[1]) ~= operation[3] then return {{{false}}} end
        operation[2].look = nil
    end
end
for _, operation in ipairs(given.operations) do
    operation[2].once = true
    verbs[operation[1]](operation[2])
end
return {{{true}}}
