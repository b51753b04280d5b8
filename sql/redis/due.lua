-- due: schedules whose next instant has come, the longest due first, or must still be computed.
--
-- in:   limit · now
-- out:  document JSON, null, null of each; then null, the clock as text, and the seconds until the next one is due, null
--       when there is none
-- uses: lib/schedule
-- walks: what is due, from its beginning
local now, rows = clock(given), {}
local names = call('ZRANGEBYSCORE', root .. 'schedule_due', '-inf', now, 'LIMIT', 0, given.limit)
for n, record in ipairs(read_schedules(names)) do rows[n] = {schedule_text(names[n], record), null, null} end
local upcoming = call('ZRANGEBYSCORE', root .. 'schedule_due', '(' .. text(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
rows[#rows + 1] = {null, iso(now), upcoming and (tonumber(upcoming) - now) / 1000000 or null}
return {rows}
