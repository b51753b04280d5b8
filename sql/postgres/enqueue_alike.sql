-- enqueue_alike: as enqueue, for many jobs that can run at once and differ in their arguments alone.
--
-- in:   args   JSON array of objects
--       task, queue, key, priority, max_attempts, timeout_seconds, metadata, keep
--       notify, now   as for enqueue
-- out:  id, one row a job, in the order given
-- trap: OFFSET 0 keeps the subquery, and with it `woken`, which nobody reads: it looks for sleepers once, not for each job.
INSERT INTO pgqueue.job (state, run_at, enqueued_at, task, args, queue, key, priority, max_attempts, timeout_seconds,
                         metadata, keep)
SELECT 'available', arrived, arrived, :task::text, args, :queue::text, :key::text, :priority::smallint, :max_attempts::smallint,
       :timeout_seconds::float8, :metadata::jsonb, :keep::boolean
FROM (
    SELECT coalesce(:now::timestamptz, clock_timestamp()) AS arrived,
           CASE WHEN :notify::boolean THEN pgqueue.wake(:queue::text) END AS woken
    OFFSET 0
) AS t, jsonb_array_elements(:args::jsonb) AS given(args)
RETURNING id;
