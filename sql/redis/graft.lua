-- graft: puts jobs between a running job and its children: the children wait for these jobs too.
--
-- in:   id, lease  the running job, which is about to be completed together with this
--       jobs       list of the ids of jobs that were just enqueued
-- out:  id, if the lease still holds
-- uses: lib/settle
-- trap: a cancelled child gets its edges all the same: it may be revived.
if not is_settled(given) then return end
local parent = read({given.id})[1]
if not parent or parent[LEASE] ~= given.lease then return {{}} end

local changed, changed_ids, waited_for = {}, {}, false
local children = numbers(call('ZRANGE', root .. 'children:' .. text(given.id), 0, -1))
for n, job in ipairs(read(children)) do
    local child = children[n]
    local at = root .. 'parents:' .. text(child)
    local packed = call('HGET', at, given.id)
    local policy, outcome = unpack(packed and cmsgpack.unpack(packed) or {false, true})
    if not outcome then
        waited_for = true
        for _, id in ipairs(given.jobs) do
            call('HSET', at, id, cmsgpack.pack({policy, false, false}))
            call('ZADD', root .. 'children:' .. text(id), child, child)
        end
        if job and job[STATE] == 'blocked' then
            job[BLOCKED_BY] = job[BLOCKED_BY] + #given.jobs
            changed[#changed + 1], changed_ids[#changed_ids + 1] = job, child
        end
    end
end
write(changed_ids, changed)
if waited_for then
    local added = read(given.jobs)
    for _, job in ipairs(added) do job[CHILDREN] = true end
    write(given.jobs, added)
end
return {{{given.id}}}
