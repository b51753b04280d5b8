-- enqueue_unique: as enqueue, when some of the jobs have a unique key; for a key that an unfinished job holds
-- it answers with that job.
--
-- in:   jobs   as for enqueue, with unique_key
--       now    as for enqueue
-- out:  ordinal, id of each job that was created; then unique_key, id of each key's holders, the first one last
-- trap: WHERE true: without it SQLite would take ON for part of a join.
SELECT max(number, pgqueue_drawn()) + 1 AS ":first" FROM pgqueue_last;

INSERT INTO pgqueue_job (id, position, state, task, args, queue, key, priority, run_at, enqueued_at, max_attempts,
                         timeout_seconds, unique_key, next_key, tags, metadata, workflow, blocked_by, expires_at, keep)
SELECT :first + n, :first + n,
       CASE WHEN job ->> '$.blocked_by' > 0 THEN 'blocked' WHEN due > :now THEN 'scheduled' ELSE 'available' END,
       job ->> '$.task', coalesce(job -> '$.args', '{}'), coalesce(job ->> '$.queue', 'default'), coalesce(job ->> '$.key', ''),
       coalesce(job ->> '$.priority', 0), due, :now, coalesce(job ->> '$.max_attempts', 10),
       job ->> '$.timeout_seconds', job ->> '$.unique_key', job ->> '$.unique_key', job -> '$.tags', job -> '$.metadata',
       job ->> '$.workflow', coalesce(job ->> '$.blocked_by', 0),
       coalesce(job ->> '$.expires_at', due + CAST(round((job ->> '$.expires_seconds') * 1000000) AS INTEGER)), job ->> '$.keep'
FROM (
    SELECT n, job,
           -- include: due
           AS due
    FROM (SELECT key AS n, value AS job, value ->> '$.run_at' AS at FROM json_each(:jobs))
)
WHERE true
ON CONFLICT DO NOTHING
RETURNING id - :first + 1, id;

SELECT unique_key, id
FROM pgqueue_job
WHERE unique_key IN (SELECT value ->> '$.unique_key' FROM json_each(:jobs))
UNION ALL
SELECT next_key, id
FROM pgqueue_job
WHERE next_key IN (SELECT value ->> '$.unique_key' FROM json_each(:jobs))
ORDER BY id DESC;
