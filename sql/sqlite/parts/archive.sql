-- archive: moves cancelled and discarded jobs from the live table to the archive.
--
-- in:   ending [{id, state, reason, cause}], from the statements before
--       keep, now   as for complete
-- out:  nothing; finished is passed on to settle
INSERT INTO pgqueue_archive
    (finished_at, state, cause, id, lease, run_at, enqueued_at, claimed_at, timeout_seconds, workflow,
     worker, priority, attempt, max_attempts, rescues, queue, key, task, unique_key,
     reason, args, errors, progress, metadata, tags)
SELECT :now, e.value ->> '$.state', e.value ->> '$.cause', j.id, j.lease, j.run_at, j.enqueued_at, j.claimed_at,
       j.timeout_seconds, j.workflow, j.worker, j.priority, j.attempt, j.max_attempts, j.rescues, j.queue, j.key, j.task,
       coalesce(j.unique_key, j.next_key), coalesce(e.value ->> '$.reason', j.reason), j.args, j.errors, j.progress, j.metadata, j.tags
FROM json_each(:ending) AS e
CROSS JOIN pgqueue_job AS j ON j.id = e.value ->> '$.id'
WHERE e.value ->> '$.state' IN (SELECT value FROM json_each(:keep));

UPDATE pgqueue_sequence
SET value = (SELECT number FROM pgqueue_last)
WHERE name = 'job'
  AND EXISTS (SELECT 1 FROM json_each(:ending) AS e
              WHERE e.value ->> '$.state' NOT IN (SELECT value FROM json_each(:keep)));

DELETE FROM pgqueue_job WHERE id IN (SELECT value ->> '$.id' FROM json_each(:ending));

SELECT json_group_object(value ->> '$.id', value ->> '$.state') AS ":finished" FROM json_each(:ending);
