-- enqueue_alike: many jobs that differ in their arguments alone and can run at once, as enqueue does it.
--
-- in:   args   JSON array of objects
--       task, queue, priority, max_attempts, timeout_seconds
--       now    as for enqueue
-- out:  id, one row a job, in the order given
INSERT INTO pgqueue_job (id, position, state, task, args, queue, priority, run_at, enqueued_at, max_attempts, timeout_seconds)
SELECT first + key, first + key, 'available', :task, value, :queue, :priority, :now, :now, :max_attempts, :timeout_seconds
FROM (SELECT number + 1 AS first FROM pgqueue_last) CROSS JOIN json_each(:args)
RETURNING id;
