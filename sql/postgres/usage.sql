-- usage: how much of a queue's limits is used, and which of its keys have most jobs.
--
-- in:   queue text · most integer: answer so many keys · look integer: look at so many waiting keys · now
-- out:  key, how many of its jobs wait, how many run, how many began within the time of its rate or null, its own limits
--       (JSON) or null, exact: false when more may wait. At last a row for the queue, with null instead of a key: null, its
--       running jobs, its starts, null, exact: false when there are more keys than were looked at, or more running jobs
-- walks: job_turn by leaps, from one key to the next, and job_plain for key '', a hundred jobs of each, and ten thousand of
--        the twenty that seem to have most; job_permit, ten thousand jobs; start
-- trap: a planner that believes the table to be small would read all of it for every key: sorting and sequential scans
--       are switched off meanwhile, as for count.
SELECT set_config('pgqueue_local.sort', current_setting('enable_sort'), true),
       set_config('pgqueue_local.seqscan', current_setting('enable_seqscan'), true),
       set_config('enable_sort', 'off', true),
       set_config('enable_seqscan', 'off', true);

WITH RECURSIVE rule AS MATERIALIZED (
    SELECT coalesce(:now::timestamptz, clock_timestamp()) AS instant,
           make_interval(secs => (q.limits #>> '{rate,1}')::float8) AS per,
           make_interval(secs => (q.limits #>> '{key_rate,1}')::float8) AS key_per
    FROM (SELECT) AS one
    LEFT JOIN pgqueue.queue AS q ON q.name = :queue::text
), walk AS (
    SELECT '' COLLATE "C" AS key,
           CASE WHEN EXISTS (SELECT FROM pgqueue.job AS j
                             WHERE j.queue = :queue::text AND j.state = 'available' AND j.key = '') THEN 1 ELSE 0 END AS n
    UNION ALL
    SELECT next.key, w.n + 1
    FROM walk AS w
    CROSS JOIN LATERAL (
        SELECT j.key
        FROM pgqueue.job AS j
        WHERE j.queue = :queue::text AND j.state = 'available' AND j.key > '' AND j.key > w.key
        ORDER BY j.key
        LIMIT 1
    ) AS next
    WHERE w.n <= :look::integer
), run AS MATERIALIZED (
    SELECT j.key
    FROM pgqueue.job AS j
    WHERE j.queue = :queue::text AND j.permit IS NOT NULL AND j.state = 'running'
    LIMIT 10000
), running AS MATERIALIZED (
    SELECT key, count(*) AS runs FROM run GROUP BY key
), first AS MATERIALIZED (
    SELECT known.key, coalesce(r.runs, 0) AS runs,
           (SELECT count(*)
            FROM (SELECT FROM pgqueue.job AS j
                  WHERE j.queue = :queue::text AND j.state = 'available' AND j.key > '' AND j.key = known.key
                  UNION ALL
                  SELECT FROM pgqueue.job AS j
                  WHERE j.queue = :queue::text AND j.state = 'available' AND j.key = '' AND known.key = ''
                  LIMIT 100) AS few) AS waits
    FROM (SELECT key FROM walk WHERE n BETWEEN 1 AND :look::integer UNION SELECT key FROM running) AS known
    LEFT JOIN running AS r ON r.key = known.key
), top AS MATERIALIZED (
    SELECT f.key, f.runs,
           CASE WHEN f.waits < 100 THEN f.waits ELSE (
               SELECT count(*)
               FROM (SELECT FROM pgqueue.job AS j
                     WHERE j.queue = :queue::text AND j.state = 'available' AND j.key > '' AND j.key = f.key
                     UNION ALL
                     SELECT FROM pgqueue.job AS j
                     WHERE j.queue = :queue::text AND j.state = 'available' AND j.key = '' AND f.key = ''
                     LIMIT 10000) AS many) END AS waits
    FROM (SELECT * FROM first ORDER BY waits + runs DESC, key LIMIT 20) AS f
), shown AS MATERIALIZED (
    SELECT t.key, t.waits, t.runs, own.limits,
           coalesce(make_interval(secs => (own.limits #>> '{rate,1}')::float8), rule.key_per) AS per
    FROM (SELECT * FROM top ORDER BY waits + runs DESC, key LIMIT :most::integer) AS t
    CROSS JOIN rule
    LEFT JOIN pgqueue.queue_key AS own ON own.queue = :queue::text AND own.key = t.key
), restored AS MATERIALIZED (
    SELECT set_config('enable_sort', current_setting('pgqueue_local.sort'), true),
           set_config('enable_seqscan', current_setting('pgqueue_local.seqscan'), true)
)
SELECT s.key, s.waits, s.runs,
       CASE WHEN s.key <> '' AND s.per IS NOT NULL THEN (
           SELECT coalesce(sum(b.count), 0) FROM pgqueue.start AS b
           WHERE b.queue = :queue::text AND b.key = s.key AND b.at <= rule.instant + interval '1 second'
             AND b.at >= rule.instant - s.per) END,
       s.limits::text, s.waits < 10000
FROM shown AS s
CROSS JOIN rule
UNION ALL
SELECT NULL, NULL, (SELECT count(*) FROM run),
       CASE WHEN rule.per IS NOT NULL THEN (
           SELECT coalesce(sum(b.count), 0) FROM pgqueue.start AS b
           WHERE b.queue = :queue::text AND b.key = '' AND b.at <= rule.instant + interval '1 second'
             AND b.at >= rule.instant - rule.per) END,
       NULL,
       NOT EXISTS (SELECT FROM walk WHERE n > :look::integer)
           AND (SELECT count(*) FROM first WHERE waits = 100) <= 20
           AND (SELECT count(*) FROM run) < 10000
FROM rule
CROSS JOIN restored;
