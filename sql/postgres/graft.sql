-- graft: puts jobs between a running job and its children: the children wait for these jobs too.
--
-- in:   id, lease  bigint: the running job, which this transaction is about to complete
--       jobs       JSON array of the ids of jobs that this transaction has enqueued
-- out:  id, if the lease still holds; without it, roll back
-- trap: first locks the job so that nobody can be adding a child to it; then a new statement sees all children. A
--       blocked child stays blocked while the running job has not finished, so no new job can free it
--       before its blocked_by is raised. A cancelled child gets its edges all the same: it may be revived.
SELECT id
FROM pgqueue.job
WHERE id = :id::bigint AND lease = :lease::bigint
FOR UPDATE;

WITH child AS MATERIALIZED (
    SELECT d.child_id AS id, d.policy
    FROM pgqueue.dependency AS d
    WHERE d.parent_id = :id::bigint AND d.outcome IS NULL
), added AS (
    INSERT INTO pgqueue.dependency (child_id, parent_id, policy)
    SELECT child.id, g.id::bigint, child.policy
    FROM child CROSS JOIN jsonb_array_elements_text(:jobs::jsonb) AS g(id)
), locked AS MATERIALIZED (
    SELECT child.id
    FROM (SELECT id FROM child ORDER BY id) AS child
    CROSS JOIN LATERAL (
        SELECT FROM pgqueue.job AS j WHERE j.id = child.id AND j.state = 'blocked' FOR NO KEY UPDATE
    ) AS blocked
)
UPDATE pgqueue.job AS j
SET blocked_by = j.blocked_by + jsonb_array_length(:jobs::jsonb)
FROM locked
WHERE j.id = ANY (ARRAY[locked.id]);
