-- enqueue: all the jobs or none, in order.
--
-- in:   jobs   list of {task, args, queue, priority, run_at, delay_seconds, max_attempts, timeout_seconds, tags,
--              metadata, workflow, blocked_by}; what is missing takes the default
--       notify boolean: wake sleepers. A client that owns its commit passes false and runs `wake` afterwards
--       first  the id of the first of them, if `prepare` has taken numbers for them
--       now
-- out:  id, one row a job, in the order given
-- uses: create
local count = #given.jobs
local first = given.first or count > 0 and call('INCRBY', root .. 'id', count) - count + 1
local ids, rows = {}, {}
for n = 1, count do
    ids[n] = first + n - 1
    rows[n] = {ids[n]}
end
create(given.jobs, ids, given.notify, clock(given))
return {rows}
