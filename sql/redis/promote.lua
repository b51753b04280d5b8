-- promote: due scheduled and retryable jobs become available, the longest due first.
--
-- in:   limit · now
-- out:  queue, count, null, null: how many became available in each queue; and in the row without a queue the
--       seconds until the next job is due (0: more are due already; null: none is waiting), and until the next schedule
--       is due (0 or less: one is due, or has no next instant yet; null: there is none)
-- uses: lib/settle, lib/schedule
-- walks: what is due, from its beginning
-- full: goes on
is_settled(given)
local now = clock(given)
local found = numbers(call('ZRANGEBYSCORE', root .. 'due', '-inf', now, 'WITHSCORES', 'LIMIT', 0, given.limit))
local ids, at = {}, {}
for n = 1, #found, 2 do
    ids[#ids + 1] = found[n]
    at[found[n]] = found[n + 1]
end
table.sort(ids, function(a, b) return at[a] < at[b] or at[a] == at[b] and a < b end)
local due, counts, rows = read(ids), {}, {}
for _, job in ipairs(due) do
    counts[job[QUEUE]] = (counts[job[QUEUE]] or 0) + 1
end
leave(ids, due)
for _, job in ipairs(due) do job[STATE] = 'available' end
wake_all(enter(ids, due, now))
write(ids, due)
for queue, count in pairs(counts) do rows[#rows + 1] = {queue, count, null, null} end
local upcoming = call('ZRANGE', root .. 'due', 0, 0, 'WITHSCORES')[2]
local seconds = #ids >= given.limit and 0 or upcoming and (tonumber(upcoming) - now) / 1000000 or null
rows[#rows + 1] = {null, 0, seconds, schedule_seconds(now)}
return {rows}
