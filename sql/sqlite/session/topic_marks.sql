-- topic_marks: the present state of each topic that somebody sleeps on; asked when the file has changed.
--
-- in:   topics JSON array of text: queues' names, '@' for when the next job or schedule is due, '+' for the workers present,
--              '#7' for the end of job 7, '!3' for jobs of worker 3 that are to be cancelled, and for what the worker is
--              asked to do itself
-- out:  topic, mark: null when there is nothing; a mark that differs from the last one is news
-- walks: each topic's index, to its first entry
SELECT t.value,
       CASE substr(t.value, 1, 1)
           WHEN '@' THEN (SELECT min(at)
                          FROM (SELECT min(run_at) AS at FROM pgqueue_job WHERE state IN ('scheduled', 'retryable')
                                UNION ALL
                                SELECT * FROM (SELECT coalesce(next_at, 0) FROM pgqueue_schedule
                                               WHERE paused_at IS NULL AND retired_at IS NULL
                                               ORDER BY next_at LIMIT 1)))
           WHEN '+' THEN (SELECT sum(id) FROM pgqueue_worker)
           WHEN '#' THEN iif(EXISTS (SELECT 1 FROM pgqueue_job WHERE id = CAST(substr(t.value, 2) AS INTEGER)), NULL, 1)
           WHEN '!' THEN (SELECT coalesce(group_concat(id), '') FROM pgqueue_job
                          WHERE cancel_requested = 1 AND worker = CAST(substr(t.value, 2) AS INTEGER))
                         || coalesce((SELECT ' ' || asked FROM pgqueue_worker WHERE id = CAST(substr(t.value, 2) AS INTEGER)), '')
           ELSE (SELECT CASE WHEN q.limits IS NULL THEN j.key || ' ' || j.priority || ' ' || j.position
                             ELSE (SELECT number FROM pgqueue_last) || ' ' || (
                                 SELECT count(*) FROM pgqueue_job AS r
                                 WHERE r.queue = t.value AND r.permit IS NOT NULL AND r.state = 'running') END
                 FROM pgqueue_job AS j INDEXED BY pgqueue_job_claim
                 LEFT JOIN pgqueue_queue AS q ON q.name = j.queue
                 WHERE j.queue = t.value AND j.state = 'available' AND q.paused_at IS NULL
                 ORDER BY j.key, j.priority, j.position
                 LIMIT 1)
       END
FROM json_each(:topics) AS t;
