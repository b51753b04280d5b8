-- record: notes the outcome of firings, once their jobs are known.
--
-- in:   firings list of {schedule, instant, job, outcome}
-- out:  nothing
-- uses: lib/schedule
for _, row in ipairs(given.firings) do
    local at, field = root .. 'firing:' .. row.schedule, text(row.instant)
    local packed = call('HGET', at, field)
    if packed then
        local firing = cmsgpack.unpack(packed)
        firing[1], firing[2] = row.job or false, row.outcome
        call('HSET', at, field, cmsgpack.pack(firing))
    end
end
return {}
