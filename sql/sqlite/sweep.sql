-- sweep: finds, counts and repairs what should not exist: blocked jobs whose parents have all
-- finished, and running jobs whose worker is unknown.
--
-- in:   limit integer · keep, now   as for complete
-- out:  stranded, orphaned: how many of each
-- then: parts/settle, parts/archive
-- trap: orphans come from a worker that was taken for dead and claimed once more before it died. A claim in the
--       future counts as old: the clock was ahead.
SELECT json_group_array(id) AS ":late"
FROM (
    SELECT j.id
    FROM pgqueue_job AS j
    WHERE j.state = 'running'
      AND NOT EXISTS (SELECT 1 FROM pgqueue_worker AS w WHERE w.id = j.worker)
      AND j.claimed_at NOT BETWEEN :now - 60000000 AND :now + 1000000
    LIMIT CAST(:limit AS INTEGER)
);

UPDATE pgqueue_sequence
SET value = (SELECT number FROM pgqueue_last) + json_array_length(:late)
WHERE name = 'job' AND :late <> '[]'
RETURNING value - json_array_length(:late) + 1 AS ":first";

UPDATE pgqueue_job
SET state = 'available', lease = NULL, attempt = attempt - 1, rescues = rescues + 1, position = :first + l.key
FROM json_each(:late) AS l
WHERE pgqueue_job.id = l.value;

SELECT json_group_object(s.parent_id, coalesce(a.state, 'completed')) AS ":finished"
FROM (
    SELECT DISTINCT d.parent_id
    FROM (SELECT id FROM pgqueue_job WHERE state = 'blocked' ORDER BY id LIMIT CAST(:limit AS INTEGER)) AS j
    CROSS JOIN pgqueue_dependency AS d ON d.child_id = j.id
    WHERE d.outcome IS NULL AND NOT EXISTS (SELECT 1 FROM pgqueue_job AS p WHERE p.id = d.parent_id)
) AS s
LEFT JOIN pgqueue_archive AS a ON a.id = s.parent_id;

SELECT (SELECT count(*) FROM json_each(:finished)), json_array_length(:late);
