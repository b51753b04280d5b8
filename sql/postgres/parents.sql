-- parents: what the parents of jobs have left for them.
--
-- in:   ids   JSON array of job ids: the children
-- out:  child_id, parent_id, name, outcome, task, result; outcome is NULL while the parent has not finished
SELECT d.child_id, d.parent_id, d.name, d.outcome, a.task, a.result::text
FROM pgqueue.dependency AS d
LEFT JOIN pgqueue.archive AS a ON a.id = d.parent_id
WHERE d.child_id = ANY (ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint))
ORDER BY d.child_id, d.parent_id;
