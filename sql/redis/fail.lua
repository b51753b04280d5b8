-- fail: ends attempts that went wrong: `retryable`, or `discarded` when the attempts are used up.
--
-- in:   jobs   list of {id, lease, verdict, retry_in_seconds, reason, error}, in id order; verdict is 'retry',
--              'discard' or 'cancel'; error the text of {type, message, traceback}
--       keep, now   as for complete
-- out:  id, lease, state: what became of each; a missing one was lost to another owner
-- uses: settle, instant
-- trap: a job that was asked to cancel is not tried again.
if not is_settled(given) then return end
local now = clock(given)
local ids, rows, left, waiting, order_of, ended, endings = {}, {}, {}, {}, {}, {}, {}
for n, row in ipairs(given.jobs) do ids[n] = row.id end
for n, job in ipairs(read(ids)) do
    local row, id = given.jobs[n], ids[n]
    if job and job[LEASE] == row.lease and not left[id] then
        local nextly = 'available'
        if row.verdict == 'cancel' or job[CANCEL_REQUESTED] then
            nextly = 'cancelled'
        elseif row.verdict == 'discard' or job[ATTEMPT] >= job[MAX_ATTEMPTS] then
            nextly = 'discarded'
        elseif (row.retry_in_seconds or 0) > 0 then
            nextly = 'retryable'
        end
        if row.error then remember(job, error_text(row.error, job, now)) end
        left[id] = job
        rows[#rows + 1] = {id, row.lease, nextly}
        if nextly == 'cancelled' or nextly == 'discarded' then
            ended[id] = job
            endings[id] = {state = nextly, reason = row.reason}
        else
            waiting[id] = row
            order_of[#order_of + 1] = id
        end
    end
end
finish(endings, ended, given.keep, now, not given.now)

local back = {}
for id in pairs(waiting) do back[id] = left[id] end
leave(back)
for n, row in ipairs(rows) do
    local id, job = row[1], left[row[1]]
    if waiting[id] then
        job[STATE], job[LEASE] = row[3], false
        job[RUN_AT] = now + micro(waiting[id].retry_in_seconds or 0)
    end
end
wake_all(enter(back, order_of, now))
write(back)
settle(now, not given.now)
return {rows}
