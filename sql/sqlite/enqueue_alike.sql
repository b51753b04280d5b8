-- enqueue_alike: as enqueue, for many jobs that can run at once and differ in their arguments alone.
--
-- in:   args   JSON array of objects
--       task, queue, key, priority, max_attempts, timeout_seconds, metadata, keep
--       now    as for enqueue
-- out:  id, one row a job, in the order given
INSERT INTO pgqueue_job (id, position, state, task, args, queue, key, priority, run_at, enqueued_at, max_attempts, timeout_seconds,
                         metadata, keep)
SELECT first + j.key, first + j.key, 'available', :task, j.value, :queue, :key, :priority, :now, :now, :max_attempts, :timeout_seconds,
       :metadata, iif(:keep = 'false', 0, NULL)
FROM (SELECT max(number, pgqueue_drawn()) + 1 AS first FROM pgqueue_last) CROSS JOIN json_each(:args) AS j
RETURNING id;
