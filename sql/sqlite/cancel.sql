-- cancel: waiting jobs are cancelled at once; the worker of a running one is asked to stop it.
--
-- in:   ids    JSON array of job ids
--       workflow integer or null: all of its jobs too
--       states   JSON array or null: only jobs that are in one of these states now
--       reason text or null
--       keep, now   as for complete
-- out:  id, state: 'cancelled', or 'running' when its worker was asked; a missing one had finished, never existed,
--       or is in another state
-- then: parts/archive, parts/settle
-- walks: the primary key, pgqueue_job_workflow
SELECT json_group_array(json_object(
           'id', id, 'state', iif(state = 'running', 'running', 'cancelled'),
           'reason', coalesce(:reason, 'cancelled on request'))) AS ":found"
FROM pgqueue_job
WHERE id IN (SELECT value FROM json_each(:ids)
             UNION ALL
             SELECT w.id FROM pgqueue_job AS w WHERE w.workflow = CAST(:workflow AS INTEGER))
  AND (:states IS NULL OR state IN (SELECT value FROM json_each(:states)));

UPDATE pgqueue_job
SET cancel_requested = 1, reason = coalesce(:reason, 'cancelled on request')
FROM json_each(:found) AS f
WHERE pgqueue_job.id = f.value ->> '$.id' AND state = 'running';

SELECT json_group_array(json(value)) AS ":ending" FROM json_each(:found) WHERE value ->> '$.state' = 'cancelled';

SELECT value ->> '$.id', value ->> '$.state' FROM json_each(:found);
