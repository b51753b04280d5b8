-- enqueue_one: one job that can run at once, as enqueue does it, in half the time.
--
-- in:   task, args, queue, priority, max_attempts, timeout_seconds
--       notify, now   as for enqueue
-- out:  id
-- trap: OFFSET 0 keeps the subquery, and so `woken`, which nobody reads.
INSERT INTO pgqueue.job (state, run_at, enqueued_at, task, args, queue, priority, max_attempts, timeout_seconds)
SELECT 'available', arrived, arrived, :task::text, :args::jsonb, :queue::text, :priority::smallint,
       :max_attempts::smallint, :timeout_seconds::float8
FROM (
    SELECT coalesce(:now::timestamptz, clock_timestamp()) AS arrived,
           CASE WHEN :notify::boolean THEN pgqueue.wake(:queue::text) END AS woken
    OFFSET 0
) AS t
RETURNING id;
