-- release: hands jobs back without spending the attempt: at shutdown (now), for a snooze (later).
--
-- in:   jobs   list of {id, lease, delay_seconds}, in id order
--       keep, now   as for complete
-- out:  id, lease, state; a missing one was lost to another owner
-- uses: settle
-- trap: a job that was asked to cancel is cancelled instead of handed on.
if not is_settled(given) then return end
local now = clock(given)
local ids, rows, back, order_of, ended, endings = {}, {}, {}, {}, {}, {}
for n, row in ipairs(given.jobs) do ids[n] = row.id end
local jobs = read(ids)
for n, job in ipairs(jobs) do
    local row, id = given.jobs[n], ids[n]
    if job and job[LEASE] == row.lease and not back[id] and not ended[id] then
        if job[CANCEL_REQUESTED] then
            ended[id] = job
            endings[id] = {state = 'cancelled'}
            rows[#rows + 1] = {id, row.lease, 'cancelled'}
        else
            back[id] = job
            order_of[#order_of + 1] = id
            rows[#rows + 1] = {id, row.lease, (row.delay_seconds or 0) > 0 and 'scheduled' or 'available',
                               row.delay_seconds or 0}
        end
    end
end
finish(endings, ended, given.keep, now, not given.now)
leave(back)
for _, row in ipairs(rows) do
    local job = back[row[1]]
    local delay = table.remove(row, 4)
    if job then
        job[STATE], job[LEASE], job[WORKER], job[ATTEMPT] = row[3], false, false, job[ATTEMPT] - 1
        if delay > 0 then job[RUN_AT] = now + micro(delay) end
    end
end
wake_all(enter(back, order_of, now))
write(back)
settle(now, not given.now)
return {rows}
