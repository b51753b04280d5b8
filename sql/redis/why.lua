-- why: everything that decides when a job runs.
--
-- in:   id · now
-- out:  one JSON document: job, now, the parents it waits for (five of them, running ones first), paused_at of its
--       queue, bounds: its limits and how much of them is used, the workers that serve it, its own worker, and how many
--       jobs are ahead of it (up to 1,000); no row when there is no such job
-- uses: lib/view, lib/worker, lib/place, lib/limits
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
            '"worker":' .. quoted(parent[STATE] == 'running' and name_of(parent[WORKER])),
            '"same_key":' .. (job[UNIQUE] and job[UNIQUE] == parent[UNIQUE] and 'true' or 'false')})
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
    local line = line_of(queue, job[KEY])
    for _, priority in ipairs(call('ZRANGEBYSCORE', root .. 'priorities:' .. line, '-inf', job[PRIORITY])) do
        local at, most = order(line, tonumber(priority)), '+inf'
        if tonumber(priority) == job[PRIORITY] then most = '(' .. text(job[POSITION]) end
        before = before + call('ZCOUNT', at, '-inf', most)
    end
    return math.min(AHEAD, before)
end

local function bounds()
    local queue, key = job[QUEUE], job[KEY] or ''
    local limits = job[STATE] == 'available' and limits_of(queue)
    if not limits then return 'null' end
    local line = line_of(queue, job[KEY])
    local own = own_limits(queue, key, limits, true)
    local function freed(scope, rate, per)
        return rate and starts_left(scope, rate, per, now) <= 0 and free_at(scope, rate, per, now)
    end
    local rate = limits.rate or {}
    local id = limits.ordered and tonumber(call('ZRANGE', root .. 'holders:' .. line, 0, 0)[1] or nil)
    local holder = id and read({id})[1]
    return joined({
        '"limits":' .. call('HGET', root .. 'limits', queue),
        '"own":' .. (key ~= '' and call('HGET', root .. 'key_limits:' .. queue, key) or '{}'),
        '"running":' .. text(call('SCARD', root .. 'permits:' .. queue)),
        '"key_running":' .. text(key ~= '' and call('SCARD', root .. 'permits_of:' .. line) or 0),
        '"free_at":' .. moment(freed(queue, rate[1], rate[2] and micro(rate[2]))),
        '"key_free_at":' .. moment(freed(line, own.rate, own.per)),
        '"holder":' .. number(holder and id), '"holder_state":' .. quoted(holder and holder[STATE])})
end

local paused = call('HGET', root .. 'paused', job[QUEUE])
local own = job[STATE] == 'running' and read_worker(job[WORKER])
return {{{joined({
    '"now":' .. moment(now), '"job":' .. view(given.id, job, body, ended, true), '"parents":' .. waited_for(),
    '"paused_at":' .. moment(paused and tonumber(paused)), '"workers":' .. serving(),
    '"worker":' .. (own and worker_text(job[WORKER], own) or 'null'), '"led":' .. tostring(is_led()),
    '"ahead":' .. text(ahead()), '"bounds":' .. bounds()})}}}
