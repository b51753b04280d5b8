-- cancel: waiting jobs are cancelled at once, a running one is told through its worker.
--
-- in:   ids    list of job ids
--       workflow all of its jobs too
--       reason
--       keep, now   as for complete
-- out:  id, state: 'cancelled', or 'running' for one that was told; a missing one had finished or never was
-- uses: settle
-- trap: the youngest first, so that a large workflow, which takes several runs, frees no child in between.
local CHUNK = 1000
if not is_settled(given) then return end
local asked, ids = {}, {}
for _, id in ipairs(given.ids) do asked[id] = true end
if given.workflow then
    for _, id in ipairs(numbers(call('ZRANGE', root .. 'members:' .. text(given.workflow), 0, -1))) do
        asked[id] = true
    end
end
for id in pairs(asked) do ids[#ids + 1] = id end
table.sort(ids, function(one, other) return one > other end)

local reason = given.reason or 'cancelled on request'
local rows, rest, workers = {}, {}, {}
local told, told_ids, ended, ended_ids, endings = {}, {}, {}, {}, {}
for n = CHUNK + 1, #ids do rest[#rest + 1] = ids[n] end
for n = #ids, CHUNK + 1, -1 do ids[n] = nil end
for n, job in ipairs(read(ids)) do
    local id = ids[n]
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
return {rows}, #rest > 0 and {ids = rest, workflow = false} or nil
