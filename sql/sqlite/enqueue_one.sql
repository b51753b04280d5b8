-- enqueue_one: one job that can run at once, as enqueue does it, without reading JSON.
--
-- in:   task, args, queue, priority, max_attempts, timeout_seconds
--       now   as for enqueue
-- out:  id
INSERT INTO pgqueue_job (id, position, state, task, args, queue, priority, run_at, enqueued_at, max_attempts, timeout_seconds)
SELECT first, first, 'available', :task, :args, :queue, :priority, :now, :now, :max_attempts, :timeout_seconds
FROM (SELECT number + 1 AS first FROM pgqueue_last)
RETURNING id;
