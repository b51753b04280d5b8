-- graft: puts jobs between a running job and its children: the children wait for these jobs too.
--
-- in:   id, lease  integer: the running job, which this transaction is about to complete
--       jobs       JSON array of the ids of jobs that this transaction has enqueued
-- out:  id, if the lease still holds; without it, roll back
-- trap: a cancelled child gets its edges all the same: it may be revived.
SELECT id
FROM pgqueue_job
WHERE id = CAST(:id AS INTEGER) AND lease = CAST(:lease AS INTEGER);

UPDATE pgqueue_job
SET blocked_by = blocked_by + json_array_length(:jobs)
WHERE state = 'blocked'
  AND id IN (SELECT d.child_id FROM pgqueue_dependency AS d
             WHERE d.parent_id = CAST(:id AS INTEGER) AND d.outcome IS NULL);

INSERT INTO pgqueue_dependency (child_id, parent_id, policy)
SELECT d.child_id, g.value, d.policy
FROM pgqueue_dependency AS d, json_each(:jobs) AS g
WHERE d.parent_id = CAST(:id AS INTEGER) AND d.outcome IS NULL;
