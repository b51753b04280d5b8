-- complete: finishes jobs whose leases still hold, and unblocks their children; asking twice answers twice.
--
-- in:   jobs   list of {lease, ids, results}: a new element where the lease changes; results {id: text}, of those
--              that have one
--       keep   list of the states whose jobs are kept
--       now
-- out:  id, lease of each job that is completed under that lease, by this call, with what PostgreSQL says of its
--       isolation level; then of those by an earlier one; what is missing was lost to another owner; then
--       again, and the queues in which children can run now
-- uses: settle
if not is_settled(given) then return end
local now = clock(given)
local done, seen, ids, jobs, endings, missing, leases = {}, {}, {}, {}, {}, {}, {}
for _, group in ipairs(given.jobs) do
    for n, job in ipairs(read(group.ids)) do
        local id = group.ids[n]
        if job and job[LEASE] == group.lease then
            if not seen[id] then
                local place, result = #ids + 1, group.results[text(id)]
                seen[id], ids[place], jobs[place] = true, id, job
                endings[place] = {state = 'completed', result = result ~= 'null' and result}
                done[place] = {id, group.lease, 'read committed'}
            end
        elseif not job then
            missing[#missing + 1] = id
            leases[#leases + 1] = group.lease
        end
    end
end
finish(ids, jobs, endings, given.keep, now, not given.now)

local earlier = {}
for n, ended in ipairs(read_ended(missing)) do
    local job = ended and ended[ENDED_JOB]
    if job and job[STATE] == 'completed' and job[LEASE] == leases[n] then
        earlier[#earlier + 1] = {missing[n], leases[n]}
    end
end
if #done == 0 then done[1] = {null, null, 'read committed'} end
local topics = settle(now, not given.now, given.once and WHOLE)
return {done, earlier, {{false, names_of(topics)}}}
