-- claim: each job to one worker, most urgent first, attempt + 1, under the caller's lease.
--
-- in:   queue · worker · limit · now
--       lease  a number of the worker's block that no other claim was given
--       floors list of {priority, position, below}, ascending and without gaps: look at what lies above
--              (priority, position) and has a priority smaller than *below*
-- out:  id, priority, position, attempt, task, args, max_attempts, timeout_seconds, run_at in seconds since the
--       epoch, rescues, progress, metadata, tags, workflow, queue; in order
-- uses: place, claimed
-- walks: the queue's priorities, and each one's order from its floor upwards
local queue, limit = given.queue, given.limit
if call('HEXISTS', root .. 'paused', queue) == 1 then return {{}} end

local ids = {}
local priorities = root .. 'priorities:' .. queue
for _, floor in ipairs(given.floors) do
    if #ids >= limit then break end
    for _, priority in ipairs(call('ZRANGEBYSCORE', priorities, floor.priority, '(' .. text(floor.below))) do
        if #ids >= limit then break end
        local at = root .. 'queue:' .. priority .. ':' .. queue
        local from = tonumber(priority) == floor.priority and '(' .. text(floor.position) or '-inf'
        local found = call('ZRANGEBYSCORE', at, from, '+inf', 'LIMIT', 0, limit - #ids)
        for n = 1, #found do ids[#ids + 1] = tonumber(found[n]) end
        -- They stand next to each other.
        if #found > 0 then many('ZREM', at, found) end
        if call('EXISTS', at) == 0 then call('ZREM', priorities, priority) end
    end
end
if #ids == 0 then
    if call('EXISTS', priorities) == 0 then call('SREM', root .. 'queues', queue) end
    return {{}}
end

local now = clock(given)
local jobs, running, records = read(ids), {}, {}
for n, id in ipairs(ids) do
    local job = jobs[n]
    job[STATE], job[LEASE], job[WORKER], job[CLAIMED_AT] = 'running', given.lease, given.worker, now
    job[ATTEMPT] = job[ATTEMPT] + 1
    records[2 * n - 1], records[2 * n] = id, cmsgpack.pack(job)
    running[2 * n - 1], running[2 * n] = given.lease, id
end
many('HSET', root .. 'job', records)
many('ZADD', root .. 'running:' .. text(given.worker), running)
call('SADD', root .. 'runners', given.worker)
return {claimed(ids, jobs)}
