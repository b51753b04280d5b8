-- count: live jobs by queue and state, without ever counting the whole of a large store.
--
-- in:   limit  a store with fewer jobs is counted in full; in a larger one, at most so many of each queue
--       after, looked, groups  where earlier runs stopped
-- out:  queue, state, count, late_seconds: how long the first of them has been due, from when it was due first
--       due_seconds: the same from its run_at · exact: false when there may be more
-- uses: lib/place, lib/worker
-- trap: in a large store, only a hundred running jobs of each worker are read; if the workers said a greater number
--       last, that one counts. How late a queue is follows from the first hundred jobs of its lines.
local CHUNK, SAMPLE, LINES = 5000, 100, 2000
local groups, looked, now = given.groups or {}, given.looked or 0, clock(given)
local is_large = call('ZCARD', root .. 'live') >= given.limit

local function group_of(queue, state)
    local name = state .. ' ' .. queue
    local group = groups[name] or {queue, state, 0, false, false, true}
    groups[name] = group
    return group
end

local function note(group, job)
    group[4] = math.min(group[4] or job[RUN_AT], job[DUE_AT] or job[RUN_AT])
    group[5] = math.min(group[5] or job[RUN_AT], job[RUN_AT])
end

local function notes(ids, exact)
    for _, job in ipairs(read(numbers(ids))) do
        if job then
            local group = group_of(job[QUEUE], job[STATE])
            group[3], group[6] = group[3] + 1, group[6] and exact
            note(group, job)
        end
    end
end

local function count_queue(queue)
    local lines = {queue}
    for _, key in ipairs(call('ZRANGE', root .. 'keys:' .. queue, 0, LINES - 1)) do
        lines[#lines + 1] = line_of(queue, key)
    end
    local sampled = 0
    for _, line in ipairs(lines) do
        for _, priority in ipairs(call('ZRANGE', root .. 'priorities:' .. line, 0, -1)) do
            local at = order(line, tonumber(priority))
            local count = call('ZCARD', at)
            if count > 0 then
                local group = group_of(queue, 'available')
                group[3] = math.min(group[3] + count, given.limit)
                group[6] = group[3] < given.limit
                local ids = sampled < SAMPLE and call('ZRANGE', at, 0, SAMPLE - 1 - sampled) or {}
                sampled = sampled + #ids
                for _, job in ipairs(read(numbers(ids))) do
                    if job then note(group, job) end
                end
            end
        end
    end
end

if not is_large or given.after then
    local ids = numbers(call('ZRANGEBYSCORE', root .. 'live', '(' .. text(given.after or 0), '+inf',
                             'LIMIT', 0, math.min(CHUNK, given.limit - looked)))
    notes(ids, true)
    looked = looked + #ids
    if #ids == CHUNK and looked < given.limit then
        return {{}}, {after = ids[#ids], looked = looked, groups = groups}
    end
    for _, group in pairs(groups) do group[6] = looked < given.limit end
else
    local most = math.min(given.limit, 500)
    for _, queue in ipairs(call('SMEMBERS', root .. 'queues')) do count_queue(queue) end
    for _, place in ipairs({'due', 'blocked'}) do
        notes(call('ZRANGE', root .. place, 0, most - 1), call('ZCARD', root .. place) <= most)
    end
    local said = {}
    for _, worker in ipairs(call('SMEMBERS', root .. 'runners')) do
        local running = root .. 'running:' .. worker
        notes(call('ZRANGE', running, 0, SAMPLE - 1), call('ZCARD', running) <= SAMPLE)
    end
    for _, entry in ipairs(read_workers()) do
        local info = profile_of(entry[2]).info
        for queue, count in pairs(type(info) == 'table' and type(info.running) == 'table' and info.running or {}) do
            said[queue] = (said[queue] or 0) + count
        end
    end
    for queue, count in pairs(said) do
        local group = groups['running ' .. queue]
        if group and not group[6] then group[3] = math.max(group[3], count) end
    end
end

local rows = {}
for _, group in pairs(groups) do
    rows[#rows + 1] = {group[1], group[2], group[3], (now - group[4]) / 1000000, (now - group[5]) / 1000000, group[6]}
end
return {rows}
