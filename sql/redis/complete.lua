-- complete: finishes jobs whose leases still hold, and unblocks their children; a repeated call gets the same answer.
--
-- in:   jobs   list of {lease, ids, results}: a new element where the lease changes; results are {id: text}, for those
--              that have one
--       keep   list of the states whose jobs are kept
--       now
-- out:  what PostgreSQL says of its isolation level; and null if all of them are completed now, else {id: lease}
--       of those that are, as JSON. Then id, lease of each that an earlier call completed; a missing one was lost
--       to another owner; then again, and the queues in which children can run now
-- uses: lib/settle
-- full: goes on
if not is_settled(given) then return end
local now = clock(given)
local done, seen, ids, jobs, endings, missing, leases, asked = {}, {}, {}, {}, {}, {}, {}, 0
for _, group in ipairs(given.jobs) do
    asked = asked + #group.ids
    for n, job in ipairs(read(group.ids)) do
        local id = group.ids[n]
        if job and job[LEASE] == group.lease then
            if not seen[id] then
                local place, result = #ids + 1, group.results[text(id)]
                seen[id], ids[place], jobs[place] = true, id, job
                endings[place] = {state = 'completed', result = result ~= 'null' and result}
                done[place] = '"' .. text(id) .. '":' .. text(group.lease)
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
local topics = settle(now, not given.now, given.once and WHOLE)
local known = #done < asked and '{' .. table.concat(done, ',') .. '}' or null
return {{{'read committed', known}}, earlier, {{false, names_of(topics)}}}
