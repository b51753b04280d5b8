-- windows: unique keys that hold until an instant, one page, in the order of these instants.
--
-- in:   last_key, last_at: the last key of the page before, and its instant · limit · now
-- out:  key, job, until
-- uses: lib/store
-- trap: the last key may hold until another instant by now, or be gone together with all before it: then keys that
--       hold until the same instant are answered again, rather than skipped.
local MOST = 2000
local at, rows = root .. 'recent_until', {}
local first = call('ZCOUNT', at, '-inf', clock(given))
if given.last_key then
    local is_there = tonumber(call('ZSCORE', at, given.last_key) or nil) == given.last_at
    local passed = is_there and call('ZRANK', at, given.last_key) + 1 or call('ZCOUNT', at, '-inf', '(' .. text(given.last_at))
    first = math.max(first, passed)
end
local found = call('ZRANGE', at, first, first + math.min(given.limit, MOST) - 1, 'WITHSCORES')
local keys = {}
for n = 1, #found, 2 do keys[#keys + 1] = found[n] end
local jobs = fetch(root .. 'recent', keys)
for n, key in ipairs(keys) do rows[n] = {key, tonumber(jobs[n]), tonumber(found[2 * n])} end
return {rows}
