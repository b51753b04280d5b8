-- fail: ends failed attempts: the job becomes `retryable`, or `discarded` when its attempts are used up.
--
-- in:   jobs   list of {id, lease, verdict, retry_in_seconds, reason, error}, in id order; verdict is 'retry',
--              'discard', 'cancel' or 'expire' (the attempt did not begin, and is not spent); error the text of {type, message, traceback}
--       keep, now   as for complete
-- out:  id, lease, state of each afterwards; a missing one was lost to another owner
-- uses: lib/settle, lib/instant
-- full: goes on
-- trap: a job that was asked to cancel is not tried again; nor is one that would have expired by then.
if not is_settled(given) then return end
local now = clock(given)
local ids, rows, seen = {}, {}, {}
local back, back_ids, ended, ended_ids, endings = {}, {}, {}, {}, {}
for n, row in ipairs(given.jobs) do ids[n] = row.id end
for n, job in ipairs(read(ids)) do
    local row, id = given.jobs[n], ids[n]
    if job and job[LEASE] == row.lease and not seen[id] then
        local nextly, reason = 'available', row.reason
        if row.verdict == 'expire' then
            nextly, reason = 'cancelled', expired(job)
            job[ATTEMPT] = job[ATTEMPT] - 1
        elseif row.verdict == 'cancel' or job[CANCEL_REQUESTED] then
            nextly = 'cancelled'
        elseif row.verdict == 'discard' or job[ATTEMPT] >= job[MAX_ATTEMPTS] then
            nextly = 'discarded'
        elseif job[EXPIRES_AT] and job[EXPIRES_AT] < now + micro(row.retry_in_seconds or 0) then
            nextly, reason = 'cancelled', expired(job)
        elseif (row.retry_in_seconds or 0) > 0 then
            nextly = 'retryable'
        end
        if row.error then remember(job, error_text(row.error, job, now)) end
        seen[id] = {nextly, row.retry_in_seconds or 0}
        rows[#rows + 1] = {id, row.lease, nextly}
        if nextly == 'cancelled' or nextly == 'discarded' then
            ended[#ended + 1], ended_ids[#ended_ids + 1] = job, id
            endings[#endings + 1] = {state = nextly, reason = reason}
        else
            back[#back + 1], back_ids[#back_ids + 1] = job, id
        end
    end
end
finish(ended_ids, ended, endings, given.keep, now, not given.now)

leave(back_ids, back)
for n, job in ipairs(back) do
    local nextly, seconds = unpack(seen[back_ids[n]])
    job[STATE], job[LEASE], job[RUN_AT], job[DUE_AT] = nextly, false, now + micro(seconds), false
end
wake_all(enter(back_ids, back, now))
write(back_ids, back)
settle(now, not given.now)
return {rows}
