-- count: live jobs by queue and state, without ever reading the whole of a large table.
--
-- in:   limit integer: a table with fewer rows is counted in full; in a larger one, at most so many of each queue
--       now
-- out:  queue, state, count, late_seconds: for how long the first of them has been due, from when it was due first
--       due_seconds: the same from its run_at · exact: false when there may be more
-- walks: the table itself, so many rows of it; then pgqueue_job_claim by leaps, from one queue's name to the next,
--        pgqueue_job_due and pgqueue_job_blocked, each from its beginning
-- trap: no index covers running jobs: in a large table their number is what workers said last, or what the first look has
--       found. How late a queue is follows from its first five hundred jobs; of jobs due later only five hundred are read,
--       as they lie scattered.
WITH RECURSIVE looked AS MATERIALIZED (
    SELECT queue, state, run_at, due_at FROM pgqueue_job LIMIT CAST(:limit AS INTEGER)
), large(yes) AS MATERIALIZED (
    SELECT count(*) >= CAST(:limit AS INTEGER) FROM looked
), queues(queue) AS (
    SELECT CASE WHEN (SELECT yes FROM large) THEN (SELECT min(queue) FROM pgqueue_job WHERE state = 'available') END
    UNION ALL
    SELECT (SELECT min(j.queue) FROM pgqueue_job AS j WHERE j.state = 'available' AND j.queue > queues.queue)
    FROM queues
    WHERE queues.queue IS NOT NULL
), due AS MATERIALIZED (
    SELECT queue, state, run_at, due_at
    FROM pgqueue_job
    WHERE state IN ('scheduled', 'retryable') AND (SELECT yes FROM large)
    ORDER BY run_at
    LIMIT min(CAST(:limit AS INTEGER), 500)
), blocked AS MATERIALIZED (
    SELECT queue, state, run_at, due_at
    FROM pgqueue_job
    WHERE state = 'blocked' AND (SELECT yes FROM large)
    ORDER BY id
    LIMIT CAST(:limit AS INTEGER)
), running(queue, count, late_at, due_at) AS (
    SELECT r.key, sum(r.value), NULL, NULL
    FROM pgqueue_worker AS w, json_each(w.info, '$.running') AS r
    WHERE (SELECT yes FROM large)
    GROUP BY r.key
    UNION ALL
    SELECT queue, count(*), min(coalesce(due_at, run_at)), min(run_at)
    FROM looked
    WHERE state = 'running' AND (SELECT yes FROM large)
    GROUP BY queue
), counted(queue, state, count, late_at, due_at, exact) AS (
    SELECT queue, state, count(*), min(coalesce(due_at, run_at)), min(run_at), 1
    FROM looked
    WHERE NOT (SELECT yes FROM large)
    GROUP BY queue, state
    UNION ALL
    SELECT queue, 'available', count, late_at, due_at, count < CAST(:limit AS INTEGER)
    FROM (
        SELECT queues.queue,
               (SELECT count(*)
                FROM (SELECT 1 FROM pgqueue_job AS j
                      WHERE j.state = 'available' AND j.queue = queues.queue LIMIT CAST(:limit AS INTEGER))) AS count,
               (SELECT min(late_at)
                FROM (SELECT coalesce(j.due_at, j.run_at) AS late_at FROM pgqueue_job AS j
                      WHERE j.state = 'available' AND j.queue = queues.queue
                      ORDER BY j.key, j.priority, j.position LIMIT 500)) AS late_at,
               (SELECT min(run_at)
                FROM (SELECT j.run_at FROM pgqueue_job AS j
                      WHERE j.state = 'available' AND j.queue = queues.queue
                      ORDER BY j.key, j.priority, j.position LIMIT 500)) AS due_at
        FROM queues
        WHERE queues.queue IS NOT NULL
    )
    UNION ALL
    SELECT queue, state, count(*), min(coalesce(due_at, run_at)), min(run_at),
           (SELECT count(*) FROM due) < min(CAST(:limit AS INTEGER), 500)
    FROM due
    GROUP BY queue, state
    UNION ALL
    SELECT queue, state, count(*), min(coalesce(due_at, run_at)), min(run_at),
           (SELECT count(*) FROM blocked) < CAST(:limit AS INTEGER)
    FROM blocked
    GROUP BY queue, state
    UNION ALL
    SELECT queue, 'running', max(count), min(late_at), min(due_at), 0
    FROM running
    WHERE count > 0
    GROUP BY queue
)
SELECT queue, state, count, (:now - late_at) / 1000000.0, (:now - due_at) / 1000000.0, exact
FROM counted;
