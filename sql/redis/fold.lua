-- fold: replaces rows of the tally by their sums, if all of them are still there, and deletes hours past their retention.
--
-- in:   replaced list of {at, seconds, worker, queue, task} · rows list, as for tally: their sums
--       before microseconds since the epoch: hours that began earlier are deleted
-- out:  whether the rows were replaced
-- uses: lib/tally
-- full: goes on
-- trap: for a moment there may be two leaders that fold the same rows: one that finds a row gone changes nothing.
local is_whole = true
for _, row in ipairs(given.replaced) do
    is_whole = is_whole and call('HEXISTS', tally_at(row), tally_field(row)) == 1
end
even_if_full()
if is_whole then
    for _, row in ipairs(given.replaced) do forget_tally(row) end
    for _, row in ipairs(given.rows) do note_tally(row) end
end
local old = call('ZRANGEBYSCORE', root .. 'tallies:3600', '-inf', '(' .. text(given.before), 'LIMIT', 0, 1000)
for _, instant in ipairs(old) do
    call('UNLINK', tally_at({seconds = 3600, at = tonumber(instant)}))
    call('ZREM', root .. 'tallies:3600', instant)
end
return {{{is_whole}}}
