-- enqueue: all the jobs or none, in order.
--
-- in:   jobs   JSON array of {task, args, queue, priority, run_at, delay_seconds, max_attempts,
--              timeout_seconds, tags, metadata, workflow, blocked_by}; what is missing takes the default
--       notify boolean: wake sleepers in this transaction. A client that owns its commit passes false
--              and runs `wake` afterwards
--       now    the instant, or NULL for the database's clock
-- out:  id, one row a job, in the order given
-- trap: no ON CONFLICT here: it would confirm each row in the WAL a second time. Jobs with a unique
--       key go through enqueue_unique.
WITH given AS (
    SELECT g.*, t.arrived,
           coalesce(g.run_at, t.arrived + make_interval(secs => coalesce(g.delay_seconds, 0))) AS due
    FROM (SELECT coalesce(:now::timestamptz, clock_timestamp()) AS arrived OFFSET 0) AS t,
         jsonb_to_recordset(:jobs::jsonb) AS g(
             task text, args jsonb, queue text, priority smallint, run_at timestamptz, delay_seconds float8,
             max_attempts smallint, timeout_seconds float8, tags text[], metadata jsonb, workflow bigint,
             blocked_by integer)
), inserted AS (
    INSERT INTO pgqueue.job (state, task, args, queue, priority, run_at, enqueued_at, max_attempts,
                             timeout_seconds, tags, metadata, workflow, blocked_by)
    SELECT CASE WHEN blocked_by > 0 THEN 'blocked' WHEN due > arrived THEN 'scheduled' ELSE 'available' END,
           task, coalesce(args, '{}'), coalesce(queue, 'default'), coalesce(priority, 0), due, arrived,
           coalesce(max_attempts, 10), timeout_seconds, tags, metadata, workflow, coalesce(blocked_by, 0)
    FROM given
    RETURNING id, queue, state, run_at, enqueued_at
), woken AS (
    SELECT count(pgqueue.wake(topic))
    FROM (SELECT DISTINCT CASE WHEN state = 'available' THEN queue ELSE '@' END
          FROM inserted
          WHERE state = 'available'
             OR (state = 'scheduled' AND run_at < enqueued_at + interval '30 seconds')) AS topics(topic)
    WHERE :notify::boolean
)
SELECT id FROM inserted, woken;
