-- forget: deletes old records, a portion a call: old firings, the oldest firings of a schedule that has very many,
-- unique keys that no longer hold, and old entries of the audit.
--
-- in:   limit · days: how long firings are kept · most: so many of each schedule
--       audit_days or null: how long the audit is kept; null: for ever · now
-- out:  how many records were deleted
-- uses: lib/schedule
-- full: goes on
-- trap: the watermark, not this history, keeps an instant from firing again.
local MOST = 2000
local now, budget, gone, seen = clock(given), math.min(given.limit, MOST), 0, {}

local function delete(name, instant, key)
    call('HDEL', root .. 'firing:' .. name, instant)
    call('ZREM', root .. 'firings:' .. name, instant)
    call('ZREM', root .. 'fired_at', key)
    gone = gone + 1
end

local old = call('ZRANGEBYSCORE', root .. 'fired_at', '-inf', '(' .. text(now - given.days * 86400000000), 'LIMIT', 0, budget)
for _, key in ipairs(old) do
    local instant, name = key:match('^(%S+) (.*)$')
    delete(name, instant, key)
end
local recent = call('ZREVRANGEBYSCORE', root .. 'fired_at', '+inf', now - 3600000000, 'LIMIT', 0, budget)
for _, key in ipairs(recent) do
    local name = key:match('^%S+ (.*)$')
    if not seen[name] and gone < budget then
        seen[name] = true
        local beyond = call('ZCARD', root .. 'firings:' .. name) - given.most
        if beyond > 0 then
            for _, instant in ipairs(call('ZRANGE', root .. 'firings:' .. name, 0, math.min(beyond, budget - gone) - 1)) do
                delete(name, instant, instant .. ' ' .. name)
            end
        end
    end
end
local over = call('ZRANGEBYSCORE', root .. 'recent_until', '-inf', now, 'LIMIT', 0, budget)
many('ZREM', root .. 'recent_until', over)
many('HDEL', root .. 'recent', over)
local old_acts = {}
if given.audit_days then
    local ids = call('ZRANGE', root .. 'audits', 0, budget - 1)
    for n, packed in ipairs(fetch(root .. 'audit', ids)) do
        local entry = packed and cmsgpack.unpack(packed)
        if not entry or entry[1] < now - given.audit_days * 86400000000 then
            old_acts[#old_acts + 1] = ids[n]
            if entry and entry[4] then call('ZREM', root .. 'audits:' .. entry[4], ids[n]) end
        end
    end
    many('ZREM', root .. 'audits', old_acts)
    many('HDEL', root .. 'audit', old_acts)
end
return {{{gone + #over + #old_acts}}}
