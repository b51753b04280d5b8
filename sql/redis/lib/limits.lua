-- limits: what a queue allows, and how much of it is used.
--
-- in:   queue · key, '' for jobs without one · now
-- out:  functions
-- uses: lib/place
-- trap: a start is one member of a sorted set by instant, named after the job and its lease, so that it can be given
--       back. Starts older than the period are deleted when the next one comes; the set also expires by itself.
local ENDLESS = 1000000

local function limits_of(queue)
    local said = call('HGET', root .. 'limits', queue)
    return said and cjson.decode(said)
end

-- The limits of one key: {most, rate, per in microseconds, weight}.
local function own_limits(queue, key, limits, excepted)
    limits = limits or {}
    local said = excepted and call('HGET', root .. 'key_limits:' .. queue, key)
    local own = said and cjson.decode(said) or {}
    local rate = key ~= '' and (own.rate or limits.key_rate)
    return {weight = own.weight or 1, most = key ~= '' and (own.concurrency or limits.key_concurrency),
            rate = rate and rate[1], per = rate and micro(rate[2])}
end

local function starts_in(scope) return root .. 'starts:' .. scope end

-- A start further in the future was noted by a wrong clock, and does not count.
local AHEAD = 1000000

local function starts_left(scope, rate, per, now)
    return rate - call('ZCOUNT', starts_in(scope), text(now - per), text(now + AHEAD))
end

-- When the next start is allowed, if none is now.
local function free_at(scope, rate, per, now)
    local found = call('ZREVRANGEBYSCORE', starts_in(scope), text(now + AHEAD), '-inf', 'WITHSCORES', 'LIMIT', rate - 1, 1)
    return found[2] and tonumber(found[2]) + per
end

local function starts(scope, members, per, now, given)
    if #members == 0 then return end
    local at, arguments = starts_in(scope), {}
    for _, member in ipairs(members) do
        arguments[#arguments + 1] = now
        arguments[#arguments + 1] = member
    end
    many('ZADD', at, arguments)
    call('ZREMRANGEBYSCORE', at, '-inf', '(' .. text(now - per))
    if not given.now then call('PEXPIRE', at, math.ceil(per / 1000) + 1000) end
end

local function start_of(id, lease) return text(id) .. ':' .. text(lease) end

-- The name of a key's line, under which its starts and permits are counted too.
local function line_of_key(queue, key) return line_of(queue, key ~= '' and key) end
