-- heard: what there is now under each of the topics somebody sleeps on; asked when the file has changed.
--
-- in:   topics JSON array of text: queues' names, '@' for when the next job is due, '+' for who joined last,
--              '#7' for the end of job 7, '!3' for jobs of worker 3 that are to be cancelled
-- out:  topic, mark: null when there is nothing; another one than last time is news
-- walks: each topic's index, to its first entry
SELECT t.value,
       CASE substr(t.value, 1, 1)
           WHEN '@' THEN (SELECT min(run_at) FROM pgqueue_job WHERE state IN ('scheduled', 'retryable'))
           WHEN '+' THEN (SELECT max(id) FROM pgqueue_worker)
           WHEN '#' THEN iif(EXISTS (SELECT 1 FROM pgqueue_job WHERE id = CAST(substr(t.value, 2) AS INTEGER)), NULL, 1)
           WHEN '!' THEN (SELECT group_concat(id) FROM pgqueue_job
                          WHERE cancel_requested = 1 AND worker = CAST(substr(t.value, 2) AS INTEGER))
           ELSE (SELECT j.priority || ' ' || j.position
                 FROM pgqueue_job AS j INDEXED BY pgqueue_job_claim
                 WHERE j.queue = t.value AND j.state = 'available'
                   AND NOT EXISTS (SELECT 1 FROM pgqueue_queue AS q WHERE q.name = t.value AND q.paused_at IS NOT NULL)
                 ORDER BY j.priority, j.position
                 LIMIT 1)
       END
FROM json_each(:topics) AS t;
