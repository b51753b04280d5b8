-- claim_in_turn: claims as `claim` does, but key by key, within the limits of the queue.
--
-- in:   queue · worker · lease · limit · now   as for claim
--       last_key the key whose turn was last
--       quantum so many jobs of a key at a turn, times its weight, while other keys wait
--       steps   look at no more than so many keys
--       counting  not used: what runs of a key is always counted
-- out:  keys, in turn, whose jobs are claimed · after: the last key that was looked at · more: not all keys were ·
--       contended: never, as a script runs alone · free_seconds: until a rate allows more · limited: the queue has limits ·
--       keyed: a key was among them. Then the jobs, as claim answers, in turn
-- uses: lib/hand_out, lib/limits
-- walks: the queue's keys, from one to the next
-- full: goes on
local queue, now = given.queue, clock(given)
local limits = limits_of(queue)
local ordered = limits and limits.ordered
local excepted = call('EXISTS', root .. 'key_limits:' .. queue) == 1
local keys, freed = root .. 'keys:' .. queue, nil

local room = given.limit
if call('HEXISTS', root .. 'paused', queue) == 1 then
    room = 0
elseif limits then
    if limits.concurrency then room = math.min(room, limits.concurrency - call('SCARD', root .. 'permits:' .. queue)) end
    if limits.rate then
        local left = starts_left(queue, limits.rate[1], micro(limits.rate[2]), now)
        if left <= 0 then freed = free_at(queue, limits.rate[1], micro(limits.rate[2]), now) end
        room = math.min(room, left)
    end
end

-- The next key of the ring, and the lap it belongs to; nil at the end of the ring.
local function next_key(key, lap)
    local last = lap == 1 and '[' .. given.last_key or '[\255'
    if lap == 0 or key ~= given.last_key then
        local found = call('ZRANGEBYLEX', keys, '(' .. key, last, 'LIMIT', 0, 1)[1]
        if found then return found, lap end
    end
    if lap == 1 then return nil end
    if call('EXISTS', root .. 'priorities:' .. queue) == 1 then return '', 1 end
    if given.last_key == '' then return nil end
    local found = call('ZRANGEBYLEX', keys, '-', '[' .. given.last_key, 'LIMIT', 0, 1)[1]
    if found then return found, 1 end
end

local function available_in(line, most)
    local count = 0
    for _, priority in ipairs(call('ZRANGE', root .. 'priorities:' .. line, 0, -1)) do
        if count >= most then break end
        local more = call('ZCARD', root .. 'queue:' .. priority .. ':' .. line)
        if more == 0 then call('ZREM', root .. 'priorities:' .. line, priority) end
        count = count + more
    end
    return math.min(count, most)
end

-- Whose turn it is in an ordered line: nil: nobody's, as a job runs; an id: that of the job that has begun and not ended;
-- false: that of the first job.
local function holder_of(line)
    local id = tonumber(call('ZRANGE', root .. 'holders:' .. line, 0, 0)[1] or nil)
    if not id then return false end
    local job = read({id})[1]
    return job and job[STATE] == 'available' and id or nil
end

local function look_at(key)
    local own, line = own_limits(queue, key, limits, excepted), line_of_key(queue, key)
    local places, starts_room, holder = ENDLESS, ENDLESS, false
    if ordered then
        holder = holder_of(line)
        places = holder == nil and 0 or 1
    elseif own.most then
        places = own.most - call('SCARD', root .. 'permits_of:' .. line)
    end
    if own.rate then
        starts_room = starts_left(line, own.rate, own.per, now)
        if starts_room <= 0 and places > 0 then
            local at = free_at(line, own.rate, own.per, now)
            freed = at and math.min(freed or at, at) or freed
        end
    end
    own.key, own.line, own.holder, own.room = key, line, holder, math.min(places, starts_room)
    return own
end

-- Are there jobs left? A key whose jobs were cancelled meanwhile is still among the keys.
local function is_left(key)
    local line = line_of_key(queue, key)
    local found = available_in(line, 1) > 0
    if not found then call('ZREM', keys, key) end
    return found
end

local picked, granted, looked, weights, keyed = {}, 0, 0, 0, false
local after, key, lap = given.last_key, given.last_key, 0
while granted < room and looked < given.steps do
    key, lap = next_key(key, lap)
    if not key then break end
    if is_left(key) then
        after, looked, keyed = key, looked + 1, keyed or key ~= ''
        local own = look_at(key)
        local has = own.room > 0 and available_in(own.line, math.min(own.room, given.quantum * own.weight)) or 0
        if has > 0 then
            picked[#picked + 1] = own
            granted, weights = granted + has, weights + own.weight
        end
    end
end
local more = room > 0 and (granted >= room or looked >= given.steps)
local share = given.quantum
if not more and weights > 0 then share = math.max(share, math.floor(room / weights)) end

local ids, turns, in_keys = {}, {}, {}
for _, own in ipairs(picked) do
    local count = math.min(own.room, share * own.weight, room - #ids)
    if count > 0 then
        local found
        if own.holder then
            found = {own.holder}
            leave(found, read(found))
        else
            found = first_of(own.line, count)
        end
        if call('EXISTS', root .. 'priorities:' .. own.line) == 0 then call('ZREM', keys, own.key) end
        local members = {}
        for _, id in ipairs(found) do
            ids[#ids + 1], turns[#turns + 1], members[#members + 1] = id, own.key, start_of(id, given.lease)
        end
        if own.rate then starts(own.line, members, own.per, now, given) end
        for _, member in ipairs(members) do in_keys[#in_keys + 1] = member end
    end
end
if limits and limits.rate then starts(queue, in_keys, micro(limits.rate[2]), now, given) end

local rows = {}
if #ids > 0 then
    local number = limits and call('INCRBY', root .. 'permit', #ids) - #ids
    local jobs = hand_out(given, ids, now, limits and function(id, job)
        local line = line_of(queue, job[KEY])
        number = number + 1
        job[DUE_AT], job[KEY] = job[DUE_AT] or false, job[KEY] or false
        job[EXPIRES_AT], job[UNKEPT] = job[EXPIRES_AT] or false, job[UNKEPT] or false
        if not (ordered and job[PERMIT]) then job[PERMIT] = number end
        call('SADD', root .. 'permits:' .. queue, id)
        call('SADD', root .. 'permits_of:' .. line, id)
        call('ZADD', root .. 'holders:' .. line, job[PERMIT], id)
    end)
    rows = claimed(ids, jobs, now)
end
local seconds = freed and (freed - now + 1) / 1000000 or null
return {{{turns, after, more, false, seconds, limits and true or false, keyed}}, rows}
