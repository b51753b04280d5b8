-- parents: what jobs can read of their parents: outcome and result.
--
-- in:   ids    JSON array of job ids: the children
--       after  bigint: only parents with a greater id, for the next page of one child's parents
--       limit  integer, or null for all
-- out:  child_id, parent_id, name, outcome, task, result, policy; outcome is NULL while the parent has not finished
-- walks: the primary key of dependency; archive_id
SELECT d.child_id, d.parent_id, d.name, d.outcome, a.task, a.result::text, d.policy
FROM (
    SELECT *
    FROM pgqueue.dependency AS d
    WHERE d.child_id = ANY (ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint))
      AND d.parent_id > :after::bigint
    ORDER BY d.child_id, d.parent_id
    LIMIT :limit::integer
) AS d
LEFT JOIN LATERAL (SELECT task, result FROM pgqueue.archive AS a WHERE a.id = d.parent_id OFFSET 0) AS a ON true
ORDER BY d.child_id, d.parent_id;
