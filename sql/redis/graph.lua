-- graph: the jobs of a workflow, or all jobs connected with a job, and the edges between them.
--
-- in:   workflow, job  one of them
--       limit at most so many jobs, and ten times as many edges
-- out:  nothing; then one JSON document a job; then parent, child, policy, outcome, name of each edge
-- uses: lib/view
local members, ids = {}, {}
local function meet(id)
    if not members[id] and #ids < given.limit then
        members[id] = true
        ids[#ids + 1] = id
    end
end
if given.workflow then
    for _, id in ipairs(call('ZRANGE', root .. 'members:' .. text(given.workflow), 0, given.limit - 1)) do
        meet(tonumber(id))
    end
else
    meet(given.job)
    local reached = 0
    while reached < #ids do
        reached = reached + 1
        local id = text(ids[reached])
        for _, parent in ipairs(numbers(call('HKEYS', root .. 'parents:' .. id))) do meet(parent) end
        for _, child in ipairs(numbers(call('ZRANGE', root .. 'children:' .. id, 0, given.limit))) do meet(child) end
    end
end
table.sort(ids)

local jobs, edges = {}, {}
for n, seen in ipairs(look_up(ids)) do
    if seen then jobs[#jobs + 1] = {view(ids[n], seen[1], seen[2], seen[3], true)} end
end
for _, child in ipairs(ids) do
    local fields, parents = call('HGETALL', root .. 'parents:' .. text(child)), {}
    for n = 1, #fields, 2 do
        local parent = tonumber(fields[n])
        if members[parent] then parents[#parents + 1] = {parent, fields[n + 1]} end
    end
    table.sort(parents, function(one, other) return one[1] < other[1] end)
    for _, entry in ipairs(parents) do
        if #edges >= 10 * given.limit then break end
        local policy, outcome, name = unpack(cmsgpack.unpack(entry[2]))
        edges[#edges + 1] = {entry[1], child, policy, outcome or null, name or null}
    end
end
return {{}, jobs, edges}
