-- count: live jobs by queue and state, without ever reading the whole of a large table.
--
-- in:   limit integer: a table with fewer rows is counted in full; in a larger one, at most so many of each queue
--       now
-- out:  queue, state, count, late_seconds: for how long the first of them has been due, from when it was due first
--       due_seconds: the same from its run_at · exact: false when there may be more
-- walks: the table itself, so many rows of it; then job_plain and job_turn by leaps, from one queue's name to the next, job_due
--        and job_blocked, each from its beginning
-- trap: no index covers running jobs: in a large table their number is what workers said last, or what the first look has
--       found. How late a queue is follows from its first jobs: five hundred for all queues together, and at least twenty of
--       each; of jobs due later only five hundred are read, as they lie scattered. A planner that believes the table to be
--       small, or a state to be rare, would sort, or read the whole table: both are switched off.
SELECT set_config('pgqueue_local.sort', current_setting('enable_sort'), true),
       set_config('pgqueue_local.seqscan', current_setting('enable_seqscan'), true),
       set_config('enable_sort', 'off', true),
       set_config('enable_seqscan', 'off', true);

WITH RECURSIVE looked AS MATERIALIZED (
    SELECT queue, state, run_at, due_at FROM pgqueue.job LIMIT :limit::integer
), large AS MATERIALIZED (
    SELECT FROM (SELECT count(*) AS rows FROM looked) AS l WHERE l.rows >= :limit::integer
), queues AS (
    SELECT least((SELECT j.queue FROM pgqueue.job AS j WHERE j.state = 'available' AND j.key = '' ORDER BY j.queue LIMIT 1),
                 (SELECT j.queue FROM pgqueue.job AS j WHERE j.state = 'available' AND j.key > '' ORDER BY j.queue LIMIT 1)) AS queue
    FROM large
    UNION ALL
    SELECT least((SELECT j.queue FROM pgqueue.job AS j
                  WHERE j.state = 'available' AND j.key = '' AND j.queue > queues.queue ORDER BY j.queue LIMIT 1),
                 (SELECT j.queue FROM pgqueue.job AS j
                  WHERE j.state = 'available' AND j.key > '' AND j.queue > queues.queue ORDER BY j.queue LIMIT 1))
    FROM queues
    WHERE queues.queue IS NOT NULL
), due AS MATERIALIZED (
    SELECT queue, state, run_at, due_at
    FROM pgqueue.job
    WHERE state IN ('scheduled', 'retryable') AND EXISTS (SELECT FROM large)
    ORDER BY run_at, id
    LIMIT least(:limit::integer, 500)
), blocked AS MATERIALIZED (
    SELECT queue, state, run_at, due_at
    FROM pgqueue.job
    WHERE state = 'blocked' AND EXISTS (SELECT FROM large)
    ORDER BY id
    LIMIT :limit::integer
), running AS (
    SELECT r.key AS queue, sum(r.value::bigint)::bigint AS count
    FROM pgqueue.worker AS w
    CROSS JOIN LATERAL jsonb_each_text(w.info -> 'running') AS r
    WHERE EXISTS (SELECT FROM large)
    GROUP BY r.key
), counted AS (
    SELECT queue, state, count(*) AS count, min(coalesce(due_at, run_at)) AS late_at, min(run_at) AS due_at, true AS exact
    FROM looked
    WHERE NOT EXISTS (SELECT FROM large)
    GROUP BY queue, state
    UNION ALL
    SELECT queues.queue, 'available', c.count, f.late_at, f.due_at, c.count < :limit::integer
    FROM queues
    CROSS JOIN LATERAL (
        SELECT count(*)
        FROM (SELECT FROM pgqueue.job AS j WHERE j.state = 'available' AND j.key = '' AND j.queue = queues.queue
              UNION ALL
              SELECT FROM pgqueue.job AS j WHERE j.state = 'available' AND j.key > '' AND j.queue = queues.queue
              LIMIT :limit::integer) AS first
    ) AS c
    CROSS JOIN LATERAL (
        SELECT min(coalesce(first.due_at, first.run_at)) AS late_at, min(first.run_at) AS due_at
        FROM ((SELECT j.due_at, j.run_at
               FROM pgqueue.job AS j
               WHERE j.state = 'available' AND j.key = '' AND j.queue = queues.queue
               ORDER BY j.queue, j.priority, j.position)
              UNION ALL
              (SELECT j.due_at, j.run_at
               FROM pgqueue.job AS j
               WHERE j.state = 'available' AND j.key > '' AND j.queue = queues.queue
               ORDER BY j.queue, j.key, j.priority, j.position)
              LIMIT (SELECT greatest(20, 500 / count(*)) FROM queues)) AS first
    ) AS f
    WHERE queues.queue IS NOT NULL
    UNION ALL
    SELECT queue, state, count(*), min(coalesce(due_at, run_at)), min(run_at), (SELECT count(*) FROM due) < least(:limit::integer, 500)
    FROM due
    GROUP BY queue, state
    UNION ALL
    SELECT queue, state, count(*), min(coalesce(due_at, run_at)), min(run_at), (SELECT count(*) FROM blocked) < :limit::integer
    FROM blocked
    GROUP BY queue, state
    UNION ALL
    SELECT queue, 'running', greatest(coalesce(seen.count, 0), coalesce(running.count, 0)), seen.late_at, seen.due_at, false
    FROM running
    FULL JOIN (
        SELECT queue, count(*) AS count, min(coalesce(due_at, run_at)) AS late_at, min(run_at) AS due_at
        FROM looked
        WHERE state = 'running' AND EXISTS (SELECT FROM large)
        GROUP BY queue
    ) AS seen USING (queue)
    WHERE greatest(seen.count, running.count) > 0
), restored AS MATERIALIZED (
    SELECT set_config('enable_sort', current_setting('pgqueue_local.sort'), true),
           set_config('enable_seqscan', current_setting('pgqueue_local.seqscan'), true)
)
SELECT queue, state, count, extract(epoch FROM clock.at - late_at)::float8, extract(epoch FROM clock.at - counted.due_at)::float8, exact
FROM restored
LEFT JOIN counted ON true
CROSS JOIN (SELECT coalesce(:now::timestamptz, clock_timestamp()) AS at) AS clock
WHERE queue IS NOT NULL;
