-- why: all that decides when a job runs.
--
-- in:   id · now
-- out:  one JSON document: job, now, the parents it waits for (five of them, running ones first), paused_at of its
--       queue, the workers that serve it, its own worker, and how many jobs are ahead of it (up to 1,000); no row
--       when there is no such job
-- uses: view, worker, place
local AHEAD = 1000
local seen = look_up({given.id})[1]
if not seen then return {{}} end
local job, body, ended = unpack(seen)
local now = clock(given)

local function name_of(worker)
    local record = worker and read_worker(worker)
    return record and profile_of(record).name
end

local function waited_for()
    local fields, ids, found, texts = call('HGETALL', root .. 'parents:' .. text(given.id)), {}, {}, {}
    for n = 1, #fields, 2 do
        if not cmsgpack.unpack(fields[n + 1])[2] then ids[#ids + 1] = tonumber(fields[n]) end
    end
    for n, parent in ipairs(read(ids)) do
        if parent then found[#found + 1] = {parent[STATE] == 'running' and 0 or 1, ids[n], parent} end
    end
    table.sort(found, function(one, other)
        return one[1] < other[1] or one[1] == other[1] and one[2] < other[2]
    end)
    for n = 1, math.min(5, #found) do
        local id, parent = found[n][2], found[n][3]
        texts[n] = joined({
            '"id":' .. text(id), '"task":' .. quoted(read_body(id)[TASK]), '"state":' .. quoted(parent[STATE]),
            '"run_at":' .. moment(parent[RUN_AT]), '"claimed_at":' .. moment(parent[CLAIMED_AT]),
            '"worker":' .. quoted(parent[STATE] == 'running' and name_of(parent[WORKER]))})
    end
    return '[' .. table.concat(texts, ',') .. ']'
end

local function serving()
    local texts = {}
    for _, entry in ipairs(read_workers()) do
        for _, queue in ipairs(profile_of(entry[2]).queues) do
            if queue == job[QUEUE] then texts[#texts + 1] = worker_text(entry[1], entry[2]) end
        end
    end
    return '[' .. table.concat(texts, ',') .. ']'
end

local function is_led()
    for _, packed in ipairs(call('HVALS', root .. 'leader')) do
        if cmsgpack.unpack(packed)[3] > now then return true end
    end
    return false
end

local function ahead()
    if job[STATE] ~= 'available' then return 0 end
    local before, queue = 0, job[QUEUE]
    for _, priority in ipairs(call('ZRANGEBYSCORE', root .. 'priorities:' .. queue, '-inf', job[PRIORITY])) do
        local at, most = order(queue, tonumber(priority)), '+inf'
        if tonumber(priority) == job[PRIORITY] then most = '(' .. text(job[POSITION]) end
        before = before + call('ZCOUNT', at, '-inf', most)
    end
    return math.min(AHEAD, before)
end

local paused = call('HGET', root .. 'paused', job[QUEUE])
local own = job[STATE] == 'running' and read_worker(job[WORKER])
return {{{joined({
    '"now":' .. moment(now), '"job":' .. view(given.id, job, body, ended, true), '"parents":' .. waited_for(),
    '"paused_at":' .. moment(paused and tonumber(paused)), '"workers":' .. serving(),
    '"worker":' .. (own and worker_text(job[WORKER], own) or 'null'), '"led":' .. tostring(is_led()),
    '"ahead":' .. text(ahead())})}}}
