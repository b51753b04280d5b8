-- queues: every queue that has waiting jobs, a worker, or a setting.
--
-- in:   nothing
-- out:  queue, paused_at, workers, waits: whether it has jobs that could be claimed
--       limits, declared, changes (JSON), running: how many jobs count for the limits
-- walks: pgqueue_job_claim by leaps, from one queue's name to the next
WITH RECURSIVE waiting(queue) AS (
    SELECT min(queue) FROM pgqueue_job WHERE state = 'available'
    UNION ALL
    SELECT (SELECT min(j.queue) FROM pgqueue_job AS j WHERE j.state = 'available' AND j.queue > waiting.queue)
    FROM waiting
    WHERE waiting.queue IS NOT NULL
), served AS (
    SELECT q.value AS queue, count(*) AS workers
    FROM pgqueue_worker AS w, json_each(w.queues) AS q
    GROUP BY q.value
)
SELECT known.queue,
       strftime('%Y-%m-%dT%H:%M:%S', q.paused_at / 1000000, 'unixepoch') || printf('.%06dZ', q.paused_at % 1000000),
       coalesce(served.workers, 0),
       known.queue IN (SELECT queue FROM waiting WHERE queue IS NOT NULL), q.limits, q.declared, q.changes,
       CASE WHEN q.limits IS NOT NULL THEN (
           SELECT count(*) FROM pgqueue_job AS j
           WHERE j.queue = known.queue AND j.permit IS NOT NULL AND j.state = 'running') END
FROM (SELECT queue FROM waiting WHERE queue IS NOT NULL
      UNION SELECT queue FROM served
      UNION SELECT name FROM pgqueue_queue
      UNION SELECT queue FROM (SELECT queue FROM pgqueue_job LIMIT 10000) AS sampled) AS known
LEFT JOIN pgqueue_queue AS q ON q.name = known.queue
LEFT JOIN served ON served.queue = known.queue
ORDER BY known.queue;
