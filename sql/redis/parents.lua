-- parents: what jobs can read of their parents: outcome and result.
--
-- in:   ids    list of job ids: the children
--       after  only parents with a greater id, for the next page of one child's parents
--       limit  none for all
-- out:  child_id, parent_id, name, outcome, task, result, policy; outcome is null while the parent has not finished
-- uses: lib/store, lib/job
local rows = {}
table.sort(given.ids)
for _, child in ipairs(given.ids) do
    if given.limit and #rows >= given.limit then break end
    local fields = call('HGETALL', root .. 'parents:' .. text(child))
    local parents, edges = {}, {}
    for n = 1, #fields, 2 do
        local parent = tonumber(fields[n])
        if parent > given.after then
            parents[#parents + 1] = parent
            edges[parent] = fields[n + 1]
        end
    end
    table.sort(parents)
    if given.limit then
        for n = #parents, given.limit - #rows + 1, -1 do parents[n] = nil end
    end
    for n, ended in ipairs(read_ended(parents)) do
        local policy, outcome, name = unpack(cmsgpack.unpack(edges[parents[n]]))
        rows[#rows + 1] = {child, parents[n], name or null, outcome or null,
                           ended and cmsgpack.unpack(ended[ENDED_BODY])[TASK] or null,
                           ended and ended[RESULT] or null, policy}
    end
end
return {rows}
