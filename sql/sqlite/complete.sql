-- complete: finishes jobs whose leases still hold, and unblocks their children; a repeated call gets the same answer.
--
-- in:   jobs   JSON array of {lease, ids, results}, all ids in order: a new element where the lease changes.
--              Ids are one text, {1,2}. Results are {id: result}, for those that have one
--       keep   JSON array of the states whose jobs are kept in the archive
--       now
-- out:  'read committed', as no child can be added meanwhile; and NULL if all of them are completed now, else
--       {id: lease} of those that are. Then id, lease of each that an earlier call completed; a missing one was
--       lost to another owner
-- then: parts/settle
-- trap: a job whose state is not kept is archived all the same while it has an unfinished child, which may want its
--       result; prune deletes it later. A job that is named twice in a call is finished once. The jobs of one claim are
--       one document: with LIMIT -1, SQLite reads it once, and not for each of the ids.
SELECT json_group_object(id, 'completed') AS ":finished",
       CASE WHEN count(*) < (SELECT sum(json_array_length('[' || trim(value ->> '$.ids', '{}') || ']')) FROM json_each(:jobs))
            THEN json_group_object(id, lease) END AS ":done",
       max(keep IS 0) AS ":unkept"
FROM (
    SELECT DISTINCT j.id, j.lease, j.keep
    FROM (SELECT value ->> '$.lease' AS claim, '[' || trim(value ->> '$.ids', '{}') || ']' AS ids FROM json_each(:jobs) LIMIT -1), json_each(ids) AS i
    CROSS JOIN pgqueue_job AS j ON j.id = i.value
    WHERE j.lease = claim
);

INSERT INTO pgqueue_archive
    (state, finished_at, id, lease, run_at, enqueued_at, claimed_at, timeout_seconds, workflow, worker,
     priority, attempt, max_attempts, rescues, queue, key, task, unique_key, args,
     result, errors, progress, metadata, tags)
SELECT 'completed', :now, j.id, j.lease, j.run_at, j.enqueued_at, j.claimed_at, j.timeout_seconds, j.workflow, j.worker,
       j.priority, j.attempt, j.max_attempts, j.rescues, j.queue, j.key, j.task, coalesce(j.unique_key, j.next_key), j.args,
       CASE WHEN results <> '{}' THEN nullif(results -> ('$."' || j.id || '"'), 'null') END, j.errors, j.progress, j.metadata, j.tags
FROM (SELECT value ->> '$.lease' AS claim, '[' || trim(value ->> '$.ids', '{}') || ']' AS ids, value -> '$.results' AS results FROM json_each(:jobs) LIMIT -1),
     json_each(ids) AS i
CROSS JOIN pgqueue_job AS j ON j.id = i.value
WHERE j.lease = claim
  AND ('completed' IN (SELECT value FROM json_each(:keep)) AND j.keep IS NOT 0
       OR EXISTS (
           SELECT 1 FROM pgqueue_dependency AS d
           CROSS JOIN pgqueue_job AS unfinished ON unfinished.id = d.child_id
           WHERE d.parent_id = j.id
             AND d.child_id NOT IN (SELECT CAST(key AS INTEGER) FROM json_each(:finished))))
ON CONFLICT (id) DO NOTHING;

UPDATE pgqueue_sequence
SET value = (SELECT number FROM pgqueue_last)
WHERE name = 'job' AND (:unkept OR 'completed' NOT IN (SELECT value FROM json_each(:keep)));

DELETE FROM pgqueue_job
WHERE id IN (SELECT CAST(key AS INTEGER) FROM json_each(:finished));

SELECT 'read committed', :done;

SELECT i.value, claim
FROM (SELECT value ->> '$.lease' AS claim, '[' || trim(value ->> '$.ids', '{}') || ']' AS ids FROM json_each(:jobs) LIMIT -1), json_each(ids) AS i
CROSS JOIN pgqueue_archive AS a ON a.id = i.value
WHERE :done IS NOT NULL
  AND a.lease = claim
  AND a.state = 'completed'
  AND i.value NOT IN (SELECT CAST(key AS INTEGER) FROM json_each(:finished));
