-- graph: the jobs of a workflow, or all jobs connected with a job, and the edges between them.
--
-- in:   workflow, job  integer, one of them null
--       limit integer: at most so many jobs, and ten times as many edges
-- out:  one JSON document a job; then parent, child, policy, outcome, name of each edge
-- walks: pgqueue_job_workflow, pgqueue_archive_workflow; both indexes of dependency
WITH RECURSIVE near(id) AS (
    SELECT CAST(:job AS INTEGER)
    WHERE :job IS NOT NULL
    UNION
    SELECT iif(d.child_id = near.id, d.parent_id, d.child_id)
    FROM near
    CROSS JOIN pgqueue_dependency AS d ON d.child_id = near.id OR d.parent_id = near.id
    LIMIT CAST(:limit AS INTEGER)
)
SELECT json_group_array(id) AS ":members"
FROM (SELECT id FROM near
      UNION ALL
      SELECT id FROM (SELECT j.id FROM pgqueue_job AS j WHERE j.workflow = CAST(:workflow AS INTEGER)
                      UNION ALL
                      SELECT a.id FROM pgqueue_archive AS a WHERE a.workflow = CAST(:workflow AS INTEGER)
                      LIMIT CAST(:limit AS INTEGER)));

SELECT json_remove(document, '$.args', '$.result', '$.metadata', '$.progress')
FROM (
    SELECT id, document FROM pgqueue_live_document WHERE id IN (SELECT value FROM json_each(:members))
    UNION ALL
    SELECT id, document FROM pgqueue_past_document WHERE id IN (SELECT value FROM json_each(:members))
    ORDER BY id
);

SELECT d.parent_id, d.child_id, d.policy, d.outcome, d.name
FROM pgqueue_dependency AS d
WHERE d.child_id IN (SELECT value FROM json_each(:members))
  AND d.parent_id IN (SELECT value FROM json_each(:members))
ORDER BY d.child_id, d.parent_id
LIMIT 10 * CAST(:limit AS INTEGER);
