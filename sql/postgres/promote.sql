-- promote: due scheduled and retryable jobs become available, the longest due first.
--
-- in:   limit  integer · now
-- out:  queue, count, next_seconds: how many became available in each queue; and in the row without a
--       queue, the seconds until the next job is due (0: more are due already; NULL: none is waiting), and until the next
--       schedule is due, as text (0 or less: one is due, or has no next instant yet; NULL: there is none)
-- walks: job_due and schedule_due from their beginning; no sort
-- trap: its commit does not wait for the disk: if a crash undoes a promotion, the job is simply still due.
WITH clock AS MATERIALIZED (
    SELECT coalesce(:now::timestamptz, clock_timestamp()) AS instant,
           set_config('synchronous_commit', 'off', true) AS hurried
), due AS MATERIALIZED (
    SELECT id, nextval('pgqueue.position') AS position
    FROM (
        SELECT j.id
        FROM pgqueue.job AS j
        WHERE j.state IN ('scheduled', 'retryable') AND j.run_at <= (SELECT instant FROM clock)
        ORDER BY j.run_at, j.id
        LIMIT :limit::integer
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS longest_due
), promoted AS (
    UPDATE pgqueue.job AS j
    SET state = 'available', position = due.position
    FROM due
    WHERE j.id = ANY (ARRAY[due.id])
    RETURNING j.queue
), by_queue AS (
    SELECT queue, count(*) AS count, pgqueue.wake(queue) AS woken FROM promoted GROUP BY queue
), upcoming AS (
    SELECT j.run_at
    FROM pgqueue.job AS j
    WHERE j.state IN ('scheduled', 'retryable') AND j.run_at > (SELECT instant FROM clock)
    ORDER BY j.run_at
    LIMIT 1
)
SELECT queue, count, NULL::float8, woken::text FROM by_queue
UNION ALL
SELECT NULL, 0, CASE WHEN (SELECT count(*) FROM due) >= :limit::integer THEN 0
                     ELSE extract(epoch FROM (SELECT run_at FROM upcoming) - instant)::float8 END,
       (SELECT coalesce(extract(epoch FROM s.next_at - instant), 0)::text
        FROM pgqueue.schedule AS s
        WHERE s.paused_at IS NULL AND s.retired_at IS NULL
        ORDER BY s.next_at NULLS FIRST
        LIMIT 1)
FROM clock;
