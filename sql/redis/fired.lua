-- fired: records that instants of schedules are dealt with, each once, however often it is called.
--
-- in:   firings list of {schedule, instant, outcome}; no instant: now
--       keys    list of unique keys
--       look    boolean: only say which ones nobody has dealt with
--       now
-- out:  schedule, instant as text of each that nobody had dealt with before; then unique_key, id, state of each key's holder
-- uses: lib/schedule, lib/job
local now, rows, held, ids, keys, seen = clock(given), {}, {}, {}, {}, {}
for _, row in ipairs(given.firings) do
    local instant = row.instant or now
    local key = firing_key(row.schedule, instant)
    if not seen[key] and call('ZSCORE', root .. 'fired_at', key) == false then
        seen[key] = true
        rows[#rows + 1] = {row.schedule, iso(instant)}
        if not given.look then
            call('HSET', root .. 'firing:' .. row.schedule, text(instant), cmsgpack.pack({false, row.outcome, now}))
            call('ZADD', root .. 'firings:' .. row.schedule, instant, text(instant))
            call('ZADD', root .. 'fired_at', now, key)
        end
    end
end
for n, holder in ipairs(fetch(root .. 'unique', given.keys)) do
    if holder then
        ids[#ids + 1] = tonumber(holder)
        keys[#keys + 1] = given.keys[n]
    end
end
for n, job in ipairs(read(ids)) do
    if job then held[#held + 1] = {keys[n], ids[n], job[STATE]} end
end
return {rows, held}
