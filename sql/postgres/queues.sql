-- queues: every queue that has waiting jobs, a worker, or a setting.
--
-- in:   nothing
-- out:  queue, paused_at, workers, waits: whether it has jobs that could be claimed
--       limits, declared, changes (JSON), running: how many jobs count for the limits
-- walks: job_plain and job_turn by leaps, from one queue's name to the next
WITH RECURSIVE waiting AS (
    SELECT least((SELECT j.queue FROM pgqueue.job AS j WHERE j.state = 'available' AND j.key = '' ORDER BY j.queue LIMIT 1),
                 (SELECT j.queue FROM pgqueue.job AS j WHERE j.state = 'available' AND j.key > '' ORDER BY j.queue LIMIT 1)) AS queue
    UNION ALL
    SELECT least((SELECT j.queue FROM pgqueue.job AS j
                  WHERE j.state = 'available' AND j.key = '' AND j.queue > waiting.queue ORDER BY j.queue LIMIT 1),
                 (SELECT j.queue FROM pgqueue.job AS j
                  WHERE j.state = 'available' AND j.key > '' AND j.queue > waiting.queue ORDER BY j.queue LIMIT 1))
    FROM waiting
    WHERE waiting.queue IS NOT NULL
), served AS (
    SELECT unnest(queues) AS queue, count(*) AS workers FROM pgqueue.worker GROUP BY 1
)
SELECT queue, to_jsonb(q.paused_at) #>> '{}', coalesce(served.workers, 0),
       queue IN (SELECT w.queue FROM waiting AS w WHERE w.queue IS NOT NULL),
       q.limits::text, q.declared::text, q.changes::text,
       CASE WHEN q.limits IS NOT NULL THEN (
           SELECT count(*) FROM pgqueue.job AS j
           WHERE j.queue = known.queue AND j.permit IS NOT NULL AND j.state = 'running') END
FROM (SELECT queue FROM waiting WHERE queue IS NOT NULL
      UNION SELECT queue FROM served
      UNION SELECT name FROM pgqueue.queue
      UNION SELECT queue FROM (SELECT queue FROM pgqueue.job LIMIT 10000) AS sampled) AS known
LEFT JOIN pgqueue.queue AS q ON q.name = known.queue
LEFT JOIN served USING (queue)
ORDER BY queue;
