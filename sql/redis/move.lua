-- move: gives waiting jobs another queue or another priority, and a new place there.
--
-- in:   ids      list of at most a thousand job ids
--       queue, priority  unchanged if missing
-- out:  id, state; a running one is left where it is, a missing one had finished or never existed
-- uses: lib/place
-- full: goes on
-- trap: a job that kept its position could lie below the floor of its new place, where claims seldom look.
--       Moved jobs keep their order. A job that leaves an ordered queue gives up its key's permit there.
local ids, rows, waiting = given.ids, {}, {}
for n, job in ipairs(read(ids)) do
    if job then rows[#rows + 1] = {ids[n], job[STATE]} end
    if job and job[STATE] ~= 'running' then waiting[#waiting + 1] = {ids[n], job} end
end
table.sort(waiting, function(one, other)
    local first, second = one[2], other[2]
    if first[PRIORITY] ~= second[PRIORITY] then return first[PRIORITY] < second[PRIORITY] end
    return first[POSITION] < second[POSITION]
end)
local moved_ids, moved = {}, {}
for n, pair in ipairs(waiting) do moved_ids[n], moved[n] = pair[1], pair[2] end
leave(moved_ids, moved)
for n, job in ipairs(moved) do
    if job[PERMIT] and given.queue and given.queue ~= job[QUEUE] then
        call('ZREM', root .. 'holders:' .. line_of(job[QUEUE], job[KEY]), moved_ids[n])
        job[PERMIT] = nil
    end
    job[QUEUE], job[PRIORITY] = given.queue or job[QUEUE], given.priority or job[PRIORITY]
end
wake_all(enter(moved_ids, moved, clock(given)))
write(moved_ids, moved)
return {rows}
