-- enqueue: creates all the jobs or none, in order.
--
-- in:   jobs   list of {task, args, queue, key, priority, run_at, delay_seconds, max_attempts, timeout_seconds, tags,
--              metadata, workflow, blocked_by, expires_at, expires_seconds after it is due, keep}; what is missing takes
--              the default
--       notify boolean: wake sleepers. A client that owns its commit passes false and runs `wake` afterwards
--       first  the id of the first of them, if `prepare` has drawn ids for them
--       now
-- out:  id, enqueued_at in microseconds since 1970; one row a job, in the order given
-- uses: lib/create
local count = #given.jobs
local first = given.first or count > 0 and call('INCRBY', root .. 'id', count) - count + 1
local ids, rows, now = {}, {}, clock(given)
for n = 1, count do
    ids[n] = first + n - 1
    rows[n] = {ids[n], now}
end
create(given.jobs, ids, given.notify, now)
return {rows}
