-- place: jobs take their places, and leave them: in a queue's order, among what is due later, among what
-- waits for parents, among what a worker runs.
--
-- in:   ids, and their records in the same order, as they are now
-- out:  functions
-- uses: store, job
-- trap: a position is taken anew each time a job becomes available. A sorted set per queue and priority, as
--       both in one score would leave too few bits for the positions. Most jobs of a batch have the same place:
--       its name is made once, as names cost more than all else here.
local SOON = 30 * 1000000

local function order(queue, priority) return root .. 'queue:' .. text(priority) .. ':' .. queue end

local function place_of(job)
    local state = job[STATE]
    if state == 'running' then return root .. 'running:' .. text(job[WORKER]) end
    if state == 'available' then return order(job[QUEUE], job[PRIORITY]) end
    return root .. (state == 'blocked' and 'blocked' or 'due')
end

-- {place = {…}}: for each job its *score(job, n)*, if there is such a function, and its id.
local function places_of(ids, jobs, score)
    local places, state, queue, priority, worker, arguments = {}, nil, nil, nil, nil, nil
    for n = 1, #ids do
        local job = jobs[n]
        if state ~= job[STATE] or queue ~= job[QUEUE] or priority ~= job[PRIORITY] or worker ~= job[WORKER] then
            state, queue, priority, worker = job[STATE], job[QUEUE], job[PRIORITY], job[WORKER]
            local at = place_of(job)
            arguments = places[at] or {}
            places[at] = arguments
        end
        if score then arguments[#arguments + 1] = score(job, n) end
        arguments[#arguments + 1] = ids[n]
    end
    return places
end

-- Says, as a set, which queues have new work, and '@' if something is due soon.
local function enter(ids, jobs, now)
    if #ids == 0 then return {} end
    local topics, seen_queue, seen_priority = {}, nil, nil
    local position = call('INCRBY', root .. 'position', #ids) - #ids
    local places = places_of(ids, jobs, function(job, n)
        local state = job[STATE]
        if state == 'available' then
            job[POSITION] = position + n
            if seen_queue ~= job[QUEUE] or seen_priority ~= job[PRIORITY] then
                seen_queue, seen_priority = job[QUEUE], job[PRIORITY]
                call('SADD', root .. 'queues', seen_queue)
                call('ZADD', root .. 'priorities:' .. seen_queue, seen_priority, seen_priority)
                topics[seen_queue] = true
            end
            return position + n
        end
        job[POSITION] = job[POSITION] or position + n
        if state == 'blocked' then return ids[n] end
        if job[RUN_AT] < now + SOON then topics['@'] = true end
        return job[RUN_AT]
    end)
    for at, arguments in pairs(places) do many('ZADD', at, arguments) end
    return topics
end

-- Before their records change.
local function leave(ids, jobs)
    for at, arguments in pairs(places_of(ids, jobs)) do many('ZREM', at, arguments) end
end
