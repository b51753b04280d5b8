-- commit: carries several operations out as one: all of them, or none.
--
-- in:   operations list of {name, what it is given}
--       holders  {key: id, or false for nobody}: what the operations rest on · leases list of {id, lease}
--       once     boolean: we are asked once and not again, whatever an earlier graph left over
--       now
-- out:  true; false when something they rest on has changed meanwhile: then nothing was done
-- uses: settle
-- runs: begin, enqueue, enqueue_unique, link, graft, complete
local verbs = {begin = begin, enqueue = enqueue, enqueue_unique = enqueue_unique,
               link = link, graft = graft, complete = complete}
if not is_settled(given) then return end
for key, holder in pairs(given.holders) do
    if tonumber(call('HGET', root .. 'unique', key) or nil) ~= (holder or nil) then return {{{false}}} end
end
for _, row in ipairs(given.leases) do
    local job = read({row[1]})[1]
    if not job or job[LEASE] ~= row[2] then return {{{false}}} end
end
for _, operation in ipairs(given.operations) do
    operation[2].once = true
    verbs[operation[1]](operation[2])
end
return {{{true}}}
