-- enqueue: inserts all the jobs or none, in order.
--
-- in:   jobs   JSON array of {task, args, queue, key, priority, run_at, delay_seconds, max_attempts,
--              timeout_seconds, tags, metadata, workflow, blocked_by, expires_at in microseconds since 1970,
--              expires_seconds after it is due, keep, wake}; what is missing takes the default.
--              wake is true for the first of several jobs that become available and would wake the same sleepers
--       notify boolean: wake sleepers in this transaction. A client that owns its commit passes false
--              and runs `wake` afterwards
--       now    the instant, or NULL for the database's clock
-- out:  id, enqueued_at in microseconds since 1970; one row a job, in the order given
-- trap: no ON CONFLICT here: it would write a second WAL record for each row. Jobs with a unique
--       key go through enqueue_unique. Nor a CTE around the INSERT, to notify from its RETURNING: that
--       was half of the server's time for one job. OFFSET 0 keeps the subquery, and with it the column `woken`,
--       which nobody reads.
INSERT INTO pgqueue.job (state, task, args, queue, key, priority, run_at, enqueued_at, max_attempts,
                         timeout_seconds, tags, metadata, workflow, blocked_by, expires_at, keep)
SELECT state, task, args, queue, key, priority, due, arrived, max_attempts, timeout_seconds, tags, metadata,
       workflow, blocked_by, expires_at, keep
FROM (
    SELECT CASE WHEN blocked_by > 0 THEN 'blocked' WHEN due > arrived THEN 'scheduled' ELSE 'available' END AS state,
           task, coalesce(args, '{}') AS args, coalesce(queue, 'default') AS queue, coalesce(key, '') AS key,
           coalesce(priority, 0) AS priority, coalesce(due, arrived) AS due, arrived, coalesce(max_attempts, 10) AS max_attempts,
           timeout_seconds,
           tags, metadata, workflow, coalesce(blocked_by, 0) AS blocked_by, keep,
           coalesce('epoch'::timestamptz + expires_at * interval '1 microsecond',
                    coalesce(due, arrived) + make_interval(secs => expires_seconds)) AS expires_at,
           CASE WHEN wake AND :notify::boolean THEN pgqueue.wake(
               CASE WHEN due >= arrived + interval '30 seconds' THEN NULL WHEN due > arrived THEN '@'
                    ELSE coalesce(queue, 'default') END) END AS woken
    FROM (
        SELECT g.*, arrived, coalesce(run_at, arrived + make_interval(secs => delay_seconds)) AS due
        FROM (SELECT coalesce(:now::timestamptz, clock_timestamp()) AS arrived OFFSET 0) AS t,
             jsonb_to_recordset(:jobs::jsonb) AS g(
                 task text, args jsonb, queue text, priority smallint, run_at timestamptz, delay_seconds float8,
                 max_attempts smallint, timeout_seconds float8, tags text[], metadata jsonb, workflow bigint,
                 blocked_by integer, wake boolean, key text, expires_at bigint, expires_seconds float8, keep boolean)
    ) AS given
    OFFSET 0
) AS new
RETURNING id, (extract(epoch FROM enqueued_at) * 1000000)::bigint;
