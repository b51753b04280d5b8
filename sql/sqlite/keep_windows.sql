-- keep_windows: unique keys of another store hold here until the same instant.
--
-- in:   source  text: the other store's store_id
--       windows JSON array of {key, job, until}: the job's id there, microseconds since 1970; each key once
--       now
-- out:  key of each that holds here by this call
-- trap: call this before the jobs are copied, or others could enqueue with their keys meanwhile: a job that is not here
--       yet, and may never come, has its id here already. A key that holds here already stays as it is.
SELECT json_group_array(job) AS ":unknown"
FROM (SELECT value ->> '$.job' AS job FROM json_each(:windows) WHERE value ->> '$.until' > :now
      EXCEPT
      SELECT c.source_id FROM json_each(:windows) AS w CROSS JOIN pgqueue_copied AS c
      WHERE c.source = :source AND c.source_id = w.value ->> '$.job'
      ORDER BY job);

UPDATE pgqueue_sequence
SET value = (SELECT number FROM pgqueue_last) + json_array_length(:unknown)
WHERE name = 'job'
RETURNING value - json_array_length(:unknown) + 1 AS ":first";

INSERT INTO pgqueue_copied (source, source_id, id, here)
SELECT :source, value, :first + key, 0 FROM json_each(:unknown);

INSERT INTO pgqueue_recent (key, job_id, until)
SELECT w.value ->> '$.key', c.id, w.value ->> '$.until'
FROM json_each(:windows) AS w
CROSS JOIN pgqueue_copied AS c ON c.source = :source AND c.source_id = w.value ->> '$.job'
WHERE w.value ->> '$.until' > :now
ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, until = excluded.until
WHERE pgqueue_recent.until <= :now
RETURNING key;
