-- promote: due scheduled and retryable jobs become available, the longest due first.
--
-- in:   limit  integer · now
-- out:  queue, count, next_seconds: how many became available in each queue; and in the row without a
--       queue, the seconds until the next job is due (0: more are due already; NULL: none is waiting), and until the next
--       schedule is due (0 or less: one is due, or has no next instant yet; NULL: there is none)
-- walks: pgqueue_job_due and pgqueue_schedule_due from their beginning; no sort
SELECT json_group_array(id) AS ":due"
FROM (
    SELECT id
    FROM pgqueue_job
    WHERE state IN ('scheduled', 'retryable') AND run_at <= :now
    ORDER BY run_at
    LIMIT CAST(:limit AS INTEGER)
);

UPDATE pgqueue_sequence
SET value = (SELECT number FROM pgqueue_last) + json_array_length(:due)
WHERE name = 'job' AND :due <> '[]'
RETURNING value - json_array_length(:due) + 1 AS ":first";

UPDATE pgqueue_job
SET state = 'available', position = :first + d.key
FROM json_each(:due) AS d
WHERE pgqueue_job.id = d.value;

SELECT j.queue, count(*), NULL, NULL
FROM json_each(:due) AS d CROSS JOIN pgqueue_job AS j ON j.id = d.value
GROUP BY j.queue
UNION ALL
SELECT NULL, 0,
       CASE WHEN json_array_length(:due) >= CAST(:limit AS INTEGER) THEN 0.0
            ELSE (SELECT (run_at - :now) / 1000000.0
                  FROM pgqueue_job
                  WHERE state IN ('scheduled', 'retryable') AND run_at > :now
                  ORDER BY run_at
                  LIMIT 1) END,
       (SELECT coalesce((next_at - :now) / 1000000.0, 0.0)
        FROM pgqueue_schedule
        WHERE paused_at IS NULL AND retired_at IS NULL
        ORDER BY next_at
        LIMIT 1);
