-- usage: how much of a queue's limits is used, and which of its keys have most jobs.
--
-- in:   queue · most: answer so many keys · look: look at so many waiting keys · now
-- out:  key, how many of its jobs wait, how many run, how many began within the time of its rate or null, its own limits
--       (JSON text) or null, exact. At last a row for the queue, with null instead of a key: null, its running jobs, its
--       starts, null, exact: false when there are more keys than were looked at, or more running jobs
-- uses: lib/limits
local LOOK, RUNNING = 2000, 2000
local queue, now = given.queue, clock(given)
local limits = limits_of(queue) or {}

local function began_in(scope, per)
    return per and call('ZCOUNT', starts_in(scope), text(now - per), text(now + AHEAD)) or null
end

local function waits_in(line)
    local count = 0
    for _, priority in ipairs(call('ZRANGE', root .. 'priorities:' .. line, 0, -1)) do
        count = count + call('ZCARD', order(line, tonumber(priority)))
    end
    return count
end

-- When very many run, a random part of them.
local permits = root .. 'permits:' .. queue
local runs, total = {}, call('SCARD', permits)
for _, job in ipairs(read(numbers(call('SRANDMEMBER', permits, RUNNING)))) do
    local key = job and (job[KEY] or '')
    if key then runs[key] = (runs[key] or 0) + 1 end
end

local look = math.min(given.look, LOOK)
local some, seen = call('ZRANGE', root .. 'keys:' .. queue, 0, look), {}
local is_exact = #some <= look and total <= RUNNING
for n = 1, math.min(#some, look) do seen[some[n]] = true end
for key in pairs(runs) do seen[key] = true end
seen[''] = true

local found = {}
for key in pairs(seen) do
    local waits = waits_in(line_of_key(queue, key))
    if waits > 0 or runs[key] then found[#found + 1] = {key, waits, runs[key] or 0} end
end
table.sort(found, function(one, other)
    local a, b = one[2] + one[3], other[2] + other[3]
    return a > b or a == b and one[1] < other[1]
end)

local rows = {}
for n = 1, math.min(#found, given.most) do
    local key, waits, running = unpack(found[n])
    local own = own_limits(queue, key, limits, true)
    rows[n] = {key, waits, running, began_in(line_of_key(queue, key), own.per),
               call('HGET', root .. 'key_limits:' .. queue, key) or null, true}
end
rows[#rows + 1] = {null, null, total, began_in(queue, limits.rate and micro(limits.rate[2])), null, is_exact}
return {rows}
