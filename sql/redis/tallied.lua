-- tallied: what was counted in a span of time, in the order of time.
--
-- in:   seconds 60 or 3600 · since, until microseconds since the epoch, *until* itself left out
--       queue only this one · limit
-- out:  at in microseconds, seconds, worker, queue, task, figures (JSON text)
-- uses: lib/tally
local rows = {}
local instants = call('ZRANGEBYSCORE', root .. 'tallies:' .. text(given.seconds), text(given.since), '(' .. text(given['until']))
for _, instant in ipairs(instants) do
    local found, at = {}, tonumber(instant)
    local fields = call('HGETALL', tally_at({seconds = given.seconds, at = at}))
    for n = 1, #fields, 2 do
        local worker, queue, task = unpack(cmsgpack.unpack(fields[n]))
        if not given.queue or given.queue == queue then
            found[#found + 1] = {at, given.seconds, worker, queue, task, fields[n + 1]}
        end
    end
    table.sort(found, function(one, other)
        for n = 3, 4 do
            if one[n] ~= other[n] then return one[n] < other[n] end
        end
        return one[5] < other[5]
    end)
    for _, row in ipairs(found) do
        if #rows >= given.limit then return {rows} end
        rows[#rows + 1] = row
    end
end
return {rows}
