-- link: makes edges from parents to children that were just enqueued as blocked.
--
-- in:   edges  list of {child, parent, policy, name}
--       merged list of {child, blocked_by}: children with fewer edges than they were enqueued with, because two of
--              their parents turned out to be one job
--       elsewhere list of the parents that were not enqueued together with them
--       keep, now   as for complete
-- out:  nothing
-- uses: lib/settle
-- trap: a parent may have finished: such edges are decided at once, as all others are. A parent that is neither live
--       nor kept ended as was noted for those who held it; if nothing was noted, it held a unique key, has finished
--       since, and counts as completed.
if not is_settled(given) then return end
local children, parents, edges, first = {}, {}, {}, {}

local function collect(places, at, one, other)
    local arguments = places[at] or {}
    places[at] = arguments
    arguments[#arguments + 1] = one
    arguments[#arguments + 1] = other
end

for _, edge in ipairs(given.edges) do
    collect(edges, root .. 'parents:' .. text(edge.child), edge.parent,
            cmsgpack.pack({edge.policy, false, edge.name or false}))
    collect(children, root .. 'children:' .. text(edge.parent), edge.child, edge.child)
    first[edge.parent] = math.min(first[edge.parent] or edge.child, edge.child)
    parents[edge.child] = true
end
for at, arguments in pairs(edges) do many('HSET', at, arguments) end
for at, arguments in pairs(children) do many('ZADD', at, arguments) end

local ids, live, changed, changed_ids = {}, {}, {}, {}
for parent in pairs(first) do ids[#ids + 1] = parent end
for child in pairs(parents) do
    if not first[child] then ids[#ids + 1] = child end
end
local jobs = read(ids)
for n, id in ipairs(ids) do
    local job = jobs[n]
    if job then
        job[CHILDREN] = job[CHILDREN] or first[id] ~= nil
        job[PARENTS] = job[PARENTS] or parents[id] ~= nil
        live[id] = job
        changed[#changed + 1], changed_ids[#changed_ids + 1] = job, id
    end
end
for _, row in ipairs(given.merged) do live[row.child][BLOCKED_BY] = row.blocked_by end
write(changed_ids, changed)

local finished = {}
for _, parent in ipairs(given.elsewhere) do
    if not live[parent] then finished[#finished + 1] = parent end
end
for n, ended in ipairs(read_ended(finished)) do
    local parent = finished[n]
    local state = call('GET', root .. 'held:' .. text(parent))
    if not state or state == 'live' then state = 'completed' end
    if ended then
        local at = root .. 'ended:' .. text(parent)
        state = ended[ENDED_JOB][STATE]
        if not ended[ENDED_JOB][CHILDREN] then  -- from now on it does not expire by itself
            ended[ENDED_JOB][CHILDREN] = true
            ended[ENDED_JOB] = cmsgpack.pack(ended[ENDED_JOB])
            call('SET', at, cmsgpack.pack(ended))
        end
    end
    call('RPUSH', root .. 'settling', cmsgpack.pack({parent, state, first[parent] - 1, given.keep}))
end
settle(clock(given), not given.now, given.once and WHOLE)
return {}
