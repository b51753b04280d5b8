-- usage: how much of a queue's limits is used, and which of its keys have most jobs.
--
-- in:   queue text · most integer: answer so many keys · look integer: look at so many waiting keys · now
-- out:  key, how many of its jobs wait, how many run, how many began within the time of its rate or null, its own limits
--       (JSON) or null, exact: false when more may wait. At last a row for the queue, with null instead of a key: null, its
--       running jobs, its starts, null, exact: false when there are more keys than were looked at, or more running jobs
-- walks: pgqueue_job_claim by leaps, from one key to the next, a hundred jobs of each, and ten thousand of the twenty that
--        seem to have most; pgqueue_job_permit, ten thousand jobs; start
WITH RECURSIVE rule(per, key_per) AS MATERIALIZED (
    SELECT CAST(max(limits ->> '$.rate[1]') * 1000000 AS INTEGER), CAST(max(limits ->> '$.key_rate[1]') * 1000000 AS INTEGER)
    FROM pgqueue_queue
    WHERE name = :queue
), walk(key, n) AS (
    SELECT min(key), 1 FROM pgqueue_job WHERE queue = :queue AND state = 'available'
    UNION ALL
    SELECT (SELECT min(j.key) FROM pgqueue_job AS j WHERE j.queue = :queue AND j.state = 'available' AND j.key > walk.key), n + 1
    FROM walk
    WHERE walk.key IS NOT NULL AND n <= CAST(:look AS INTEGER)
), run AS MATERIALIZED (
    SELECT key FROM pgqueue_job WHERE queue = :queue AND permit IS NOT NULL AND state = 'running' LIMIT 10000
), running AS MATERIALIZED (
    SELECT key, count(*) AS runs FROM run GROUP BY key
), first AS MATERIALIZED (
    SELECT known.key, coalesce(r.runs, 0) AS runs,
           (SELECT count(*)
            FROM (SELECT 1 FROM pgqueue_job AS j
                  WHERE j.queue = :queue AND j.state = 'available' AND j.key = known.key LIMIT 100)) AS waits
    FROM (SELECT key FROM walk WHERE key IS NOT NULL AND n <= CAST(:look AS INTEGER) UNION SELECT key FROM running) AS known
    LEFT JOIN running AS r ON r.key = known.key
), top AS MATERIALIZED (
    SELECT f.key, f.runs,
           CASE WHEN f.waits < 100 THEN f.waits ELSE (
               SELECT count(*)
               FROM (SELECT 1 FROM pgqueue_job AS j
                     WHERE j.queue = :queue AND j.state = 'available' AND j.key = f.key LIMIT 10000)) END AS waits
    FROM (SELECT * FROM first ORDER BY waits + runs DESC, key LIMIT 20) AS f
), shown AS MATERIALIZED (
    SELECT t.key, t.waits, t.runs, own.limits,
           coalesce(CAST(own.limits ->> '$.rate[1]' * 1000000 AS INTEGER), (SELECT key_per FROM rule)) AS per
    FROM (SELECT * FROM top ORDER BY waits + runs DESC, key LIMIT CAST(:most AS INTEGER)) AS t
    LEFT JOIN pgqueue_queue_key AS own ON own.queue = :queue AND own.key = t.key
)
SELECT key, waits, runs,
       CASE WHEN key <> '' AND per IS NOT NULL THEN (
           SELECT coalesce(sum(b.count), 0) FROM pgqueue_start AS b
           WHERE b.queue = :queue AND b.key = shown.key AND b.at <= :now + 1000000 AND b.at >= :now - per) END,
       limits, waits < 10000
FROM shown
UNION ALL
SELECT NULL, NULL, (SELECT count(*) FROM run),
       CASE WHEN per IS NOT NULL THEN (
           SELECT coalesce(sum(b.count), 0) FROM pgqueue_start AS b
           WHERE b.queue = :queue AND b.key = '' AND b.at <= :now + 1000000 AND b.at >= :now - per) END,
       NULL,
       NOT EXISTS (SELECT 1 FROM walk WHERE key IS NOT NULL AND n > CAST(:look AS INTEGER))
           AND (SELECT count(*) FROM first WHERE waits = 100) <= 20
           AND (SELECT count(*) FROM run) < 10000
FROM rule;
