-- enqueue: inserts all the jobs or none, in order.
--
-- in:   jobs   JSON array of {task, args, queue, key, priority, run_at, delay_seconds, max_attempts,
--              timeout_seconds, tags, metadata, workflow, blocked_by, expires_at in microseconds since 1970,
--              expires_seconds after it is due, keep}; what is missing takes the default
--       now
-- out:  id, enqueued_at in microseconds since 1970; one row a job, in the order given
INSERT INTO pgqueue_job (id, position, state, task, args, queue, key, priority, run_at, enqueued_at, max_attempts,
                         timeout_seconds, tags, metadata, workflow, blocked_by, expires_at, keep)
SELECT first + n, first + n,
       CASE WHEN job ->> '$.blocked_by' > 0 THEN 'blocked' WHEN due > :now THEN 'scheduled' ELSE 'available' END,
       job ->> '$.task', coalesce(job -> '$.args', '{}'), coalesce(job ->> '$.queue', 'default'), coalesce(job ->> '$.key', ''),
       coalesce(job ->> '$.priority', 0), due, :now, coalesce(job ->> '$.max_attempts', 10),
       job ->> '$.timeout_seconds', job -> '$.tags', job -> '$.metadata', job ->> '$.workflow',
       coalesce(job ->> '$.blocked_by', 0),
       coalesce(job ->> '$.expires_at', due + CAST(round((job ->> '$.expires_seconds') * 1000000) AS INTEGER)), job ->> '$.keep'
FROM (
    SELECT first, n, job,
           -- include: due
           AS due
    FROM (
        SELECT first, key AS n, value AS job, value ->> '$.run_at' AS at
        FROM (SELECT max(number, pgqueue_drawn()) + 1 AS first FROM pgqueue_last) CROSS JOIN json_each(:jobs)
    )
)
RETURNING id, enqueued_at;
