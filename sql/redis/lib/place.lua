-- place: puts jobs into their places, and takes them out: the order of a queue, what is due later, what
-- waits for parents, what a worker runs.
--
-- in:   ids, and their records in the same order, as they are now
-- out:  functions
-- uses: lib/store, lib/job
-- trap: the jobs of a key have a line of their own, named QUEUE KEY: no queue's name contains a blank. A job with a permit
--       is counted when it begins to run and when it stops. A position is taken anew each time a job becomes available.
--       One sorted set for each queue and priority: both in one score would leave too few bits for the positions. Most jobs
--       of a batch have the same place: its name is made once, as names cost more than all else here.
local SOON = 30 * 1000000

local function order(line, priority) return root .. 'queue:' .. text(priority) .. ':' .. line end

local function line_of(queue, key) return key and queue .. ' ' .. key or queue end

local function place_of(job)
    local state = job[STATE]
    if state == 'running' then return root .. 'running:' .. text(job[WORKER]) end
    if state == 'available' then return order(line_of(job[QUEUE], job[KEY]), job[PRIORITY]) end
    return root .. (state == 'blocked' and 'blocked' or 'due')
end

-- {place = {…}}: for each job its *score(job, n)*, if there is such a function, and its id.
local function places_of(ids, jobs, score)
    local places, state, queue, key, priority, worker, arguments = {}, nil, nil, nil, nil, nil, nil
    for n = 1, #ids do
        local job = jobs[n]
        if state ~= job[STATE] or queue ~= job[QUEUE] or key ~= job[KEY] or priority ~= job[PRIORITY]
            or worker ~= job[WORKER] then
            state, queue, key, priority, worker = job[STATE], job[QUEUE], job[KEY], job[PRIORITY], job[WORKER]
            local at = place_of(job)
            arguments = places[at] or {}
            places[at] = arguments
        end
        if score then arguments[#arguments + 1] = score(job, n) end
        arguments[#arguments + 1] = ids[n]
    end
    return places
end

-- Enters jobs; returns, as a set, the queues that have new work, and '@' if something is due soon.
local function enter(ids, jobs, now)
    if #ids == 0 then return {} end
    local topics, seen_line, seen_priority = {}, nil, nil
    local position = call('INCRBY', root .. 'position', #ids) - #ids
    local places = places_of(ids, jobs, function(job, n)
        local state = job[STATE]
        if state == 'available' then
            job[POSITION] = position + n
            local line = line_of(job[QUEUE], job[KEY])
            if seen_line ~= line or seen_priority ~= job[PRIORITY] then
                seen_line, seen_priority = line, job[PRIORITY]
                call('SADD', root .. 'queues', job[QUEUE])
                call('ZADD', root .. 'priorities:' .. line, seen_priority, seen_priority)
                if job[KEY] then call('ZADD', root .. 'keys:' .. job[QUEUE], 0, job[KEY]) end
                topics[job[QUEUE]] = true
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

-- Call this before the records of the jobs change.
local function leave(ids, jobs)
    for at, arguments in pairs(places_of(ids, jobs)) do many('ZREM', at, arguments) end
    for n, job in ipairs(jobs) do
        if job[PERMIT] and job[STATE] == 'running' then
            call('SREM', root .. 'permits:' .. job[QUEUE], ids[n])
            call('SREM', root .. 'permits_of:' .. line_of(job[QUEUE], job[KEY]), ids[n])
            wake(job[QUEUE])
        end
    end
end
