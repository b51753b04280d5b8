-- hand_out: moves jobs from their lines to a worker.
--
-- in:   line, as lib/place names it · ids · given, what a claim is given · now
-- out:  functions
-- uses: lib/place, lib/claimed
local WHOLE_LINE = {{priority = -32769, position = 0, below = 32768}}

-- The first jobs of a line, up to *limit*, from its floors upwards; forgets priorities that have no jobs.
local function first_of(line, limit, floors)
    local ids, priorities = {}, root .. 'priorities:' .. line
    for _, floor in ipairs(floors or WHOLE_LINE) do
        if #ids >= limit then break end
        for _, priority in ipairs(call('ZRANGEBYSCORE', priorities, floor.priority, '(' .. text(floor.below))) do
            if #ids >= limit then break end
            local at = root .. 'queue:' .. priority .. ':' .. line
            local from = tonumber(priority) == floor.priority and '(' .. text(floor.position) or '-inf'
            local found = call('ZRANGEBYSCORE', at, from, '+inf', 'LIMIT', 0, limit - #ids)
            for n = 1, #found do ids[#ids + 1] = tonumber(found[n]) end
            -- The claimed members are adjacent in the sorted set.
            if #found > 0 then many('ZREM', at, found) end
            if call('EXISTS', at) == 0 then call('ZREM', priorities, priority) end
        end
    end
    return ids
end

-- Makes the jobs running, in their records too.
local function hand_out(given, ids, now, permit)
    local jobs, running, records = read(ids), {}, {}
    for n, id in ipairs(ids) do
        local job = jobs[n]
        job[STATE], job[LEASE], job[WORKER], job[CLAIMED_AT] = 'running', given.lease, given.worker, now
        job[ATTEMPT] = job[ATTEMPT] + 1
        if permit then
            permit(id, job)
        elseif job[PERMIT] then
            call('ZREM', root .. 'holders:' .. line_of(job[QUEUE], job[KEY]), id)
            job[PERMIT] = nil
        end
        records[2 * n - 1], records[2 * n] = id, cmsgpack.pack(job)
        running[2 * n - 1], running[2 * n] = given.lease, id
    end
    many('HSET', root .. 'job', records)
    many('ZADD', root .. 'running:' .. text(given.worker), running)
    call('SADD', root .. 'runners', given.worker)
    return jobs
end
