-- enqueue_one: as enqueue, for one job that can run at once, without reading JSON.
--
-- in:   task, args, queue, key, priority, max_attempts, timeout_seconds, metadata, keep
--       now   as for enqueue
-- out:  id
INSERT INTO pgqueue_job (id, position, state, task, args, queue, key, priority, run_at, enqueued_at, max_attempts, timeout_seconds,
                         metadata, keep)
SELECT first, first, 'available', :task, :args, :queue, :key, :priority, :now, :now, :max_attempts, :timeout_seconds,
       :metadata, iif(:keep = 'false', 0, NULL)
FROM (SELECT max(number, pgqueue_drawn()) + 1 AS first FROM pgqueue_last)
RETURNING id;
