-- release: hands jobs back without spending the attempt: at shutdown (now), for a snooze (later).
--
-- in:   jobs   list of {id, lease, delay_seconds, unknown, unstarted}, in id order; unknown: this worker does not know its
--              task, and the job keeps the time since when it has been due; unstarted: its attempt has not begun, and counts
--              for no rate
--       keep, now   as for complete
-- out:  id, lease, state; a missing one was lost to another owner
-- uses: lib/settle, lib/limits
-- full: goes on
-- trap: a job that was asked to cancel is cancelled instead of released.
if not is_settled(given) then return end
local now = clock(given)
local ids, rows, seen = {}, {}, {}
local back, back_ids, delays, unknown, ended, ended_ids, endings = {}, {}, {}, {}, {}, {}, {}
for n, row in ipairs(given.jobs) do ids[n] = row.id end
local jobs = read(ids)
for n, job in ipairs(jobs) do
    local row, id = given.jobs[n], ids[n]
    if job and job[LEASE] == row.lease and not seen[id] then
        seen[id] = true
        if job[CANCEL_REQUESTED] then
            ended[#ended + 1], ended_ids[#ended_ids + 1] = job, id
            endings[#endings + 1] = {state = 'cancelled'}
            rows[#rows + 1] = {id, row.lease, 'cancelled'}
        else
            local delay = row.delay_seconds or 0
            back[#back + 1], back_ids[#back_ids + 1], delays[#delays + 1] = job, id, delay
            unknown[#back] = row.unknown
            if row.unstarted and job[PERMIT] then
                local member = start_of(id, row.lease)
                call('ZREM', starts_in(job[QUEUE]), member)
                call('ZREM', starts_in(line_of(job[QUEUE], job[KEY])), member)
            end
            rows[#rows + 1] = {id, row.lease, delay > 0 and 'scheduled' or 'available'}
        end
    end
end
finish(ended_ids, ended, endings, given.keep, now, not given.now)
leave(back_ids, back)
for n, job in ipairs(back) do
    job[STATE], job[LEASE], job[WORKER], job[ATTEMPT] = 'available', false, false, job[ATTEMPT] - 1
    if unknown[n] then job[DUE_AT] = job[DUE_AT] or job[RUN_AT] elseif delays[n] > 0 then job[DUE_AT] = false end
    if delays[n] > 0 then job[STATE], job[RUN_AT] = 'scheduled', now + micro(delays[n]) end
end
wake_all(enter(back_ids, back, now))
write(back_ids, back)
settle(now, not given.now)
return {rows}
