-- cancel: waiting jobs are cancelled at once; the worker of a running one is asked to stop it.
--
-- in:   ids    list of job ids, at most a thousand unless there is a workflow
--       workflow all of its jobs too · before  where earlier runs stopped
--       states   list: only jobs that are in one of these states now
--       reason
--       keep, now   as for complete
-- out:  id, state: 'cancelled', or 'running' when its worker was asked; a missing one had finished, never existed,
--       or is in another state
-- uses: lib/settle
-- full: goes on
-- trap: the youngest first: cancelling a large workflow takes several runs, and must free no child between them.
local CHUNK = 1000
if not is_settled(given) then return end
local ids, known, members, last = {}, {}, {}, nil
if given.workflow then
    local from = given.before and '(' .. text(given.before) or '+inf'
    members = numbers(call('ZREVRANGEBYSCORE', root .. 'members:' .. text(given.workflow), from, '-inf', 'LIMIT', 0, CHUNK))
    if #members == CHUNK then last = members[CHUNK] end
end
for _, id in ipairs(members) do known[id] = true end
for _, id in ipairs(given.ids) do
    if (not last or id >= last) and (not given.before or id < given.before) then known[id] = true end
end
for id in pairs(known) do ids[#ids + 1] = id end
table.sort(ids, function(one, other) return one > other end)

local reason = given.reason or 'cancelled on request'
local rows, workers, is_meant = {}, {}, {}
local told, told_ids, ended, ended_ids, endings = {}, {}, {}, {}, {}
for _, state in ipairs(given.states or {}) do is_meant[state] = true end
for n, job in ipairs(read(ids)) do
    local id = ids[n]
    if job and given.states and not is_meant[job[STATE]] then job = false end
    if job and job[STATE] == 'running' then
        job[CANCEL_REQUESTED], job[REASON] = true, reason
        told[#told + 1], told_ids[#told_ids + 1] = job, id
        workers[job[WORKER]] = true
        rows[#rows + 1] = {id, 'running'}
    elseif job then
        ended[#ended + 1], ended_ids[#ended_ids + 1] = job, id
        endings[#endings + 1] = {state = 'cancelled', reason = reason}
        rows[#rows + 1] = {id, 'cancelled'}
    end
end
finish(ended_ids, ended, endings, given.keep, clock(given), not given.now)
write(told_ids, told)
for worker in pairs(workers) do
    local topic = '!' .. text(worker)
    call('PUBLISH', channel .. topic, topic)
end
settle(clock(given), not given.now)
return {rows}, last and {before = last} or nil
