-- place: jobs take their places, and leave them: in a queue's order, among what is due later, among what
-- waits for parents, among what a worker runs.
--
-- in:   jobs {id = record}, as they are now
-- out:  functions
-- uses: store, job
-- trap: a position is taken anew each time a job becomes available. A sorted set per queue and priority, as
--       both in one score would leave too few bits for the positions.
local SOON = 30 * 1000000

local function order(queue, priority) return root .. 'queue:' .. text(priority) .. ':' .. queue end

local function collect(places, at, score, id)
    local arguments = places[at]
    if not arguments then
        arguments = {}
        places[at] = arguments
    end
    if score then arguments[#arguments + 1] = score end
    arguments[#arguments + 1] = id
end

-- In the order of *ids*. Says, as a set, which queues have new work, and '@' if something is due soon.
local function enter(jobs, ids, now)
    local places, topics = {}, {}
    local position = #ids > 0 and call('INCRBY', root .. 'position', #ids) - #ids
    for n, id in ipairs(ids) do
        local job = jobs[id]
        local state = job[STATE]
        if state == 'available' then
            job[POSITION] = position + n
            collect(places, order(job[QUEUE], job[PRIORITY]), position + n, id)
            if not topics[job[QUEUE]] then topics[job[QUEUE]] = {} end
            topics[job[QUEUE]][job[PRIORITY]] = true
        elseif state == 'blocked' then
            job[POSITION] = job[POSITION] or position + n
            collect(places, root .. 'blocked', id, id)
        else
            job[POSITION] = job[POSITION] or position + n
            collect(places, root .. 'due', job[RUN_AT], id)
            if job[RUN_AT] < now + SOON then topics['@'] = {} end
        end
    end
    for at, arguments in pairs(places) do many('ZADD', at, arguments) end
    for queue, priorities in pairs(topics) do
        if queue ~= '@' then
            call('SADD', root .. 'queues', queue)
            for priority in pairs(priorities) do call('ZADD', root .. 'priorities:' .. queue, priority, priority) end
        end
        topics[queue] = true
    end
    return topics
end

-- Before their records change.
local function leave(jobs)
    local places = {}
    for id, job in pairs(jobs) do
        local state = job[STATE]
        local at
        if state == 'running' then
            at = root .. 'running:' .. text(job[WORKER])
        elseif state == 'available' then
            at = order(job[QUEUE], job[PRIORITY])
        elseif state == 'blocked' then
            at = root .. 'blocked'
        else
            at = root .. 'due'
        end
        collect(places, at, nil, id)
    end
    for at, arguments in pairs(places) do many('ZREM', at, arguments) end
end
