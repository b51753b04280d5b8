-- parents: what jobs can read of their parents: outcome and result.
--
-- in:   ids    JSON array of job ids: the children
--       after  integer: only parents with a greater id, for the next page of one child's parents
--       limit  integer, or null for all
-- out:  child_id, parent_id, name, outcome, task, result, policy; outcome is NULL while the parent has not finished
-- walks: the primary keys of dependency and archive
SELECT d.child_id, d.parent_id, d.name, d.outcome, a.task, a.result, d.policy
FROM pgqueue_dependency AS d
LEFT JOIN pgqueue_archive AS a ON a.id = d.parent_id
WHERE d.child_id IN (SELECT value FROM json_each(:ids)) AND d.parent_id > CAST(:after AS INTEGER)
ORDER BY d.child_id, d.parent_id
LIMIT coalesce(CAST(:limit AS INTEGER), -1);
