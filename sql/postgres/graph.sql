-- graph: the jobs of a workflow, or all jobs connected with a job, and the edges between them.
--
-- in:   workflow, job  bigint, one of them null
--       limit integer: at most so many jobs, and ten times as many edges
-- out:  one JSON document a job; then parent, child, policy, outcome, name of each edge
-- walks: job_workflow, archive_workflow; both indexes of dependency
WITH RECURSIVE near(id) AS (
    SELECT :job::bigint
    WHERE :job::bigint IS NOT NULL
    UNION
    SELECT next.id
    FROM near
    CROSS JOIN LATERAL (
        SELECT d.parent_id FROM pgqueue.dependency AS d WHERE d.child_id = near.id
        UNION ALL
        SELECT d.child_id FROM pgqueue.dependency AS d WHERE d.parent_id = near.id
    ) AS next(id)
), member AS MATERIALIZED (
    (SELECT id FROM near LIMIT :limit::integer)
    UNION ALL
    (SELECT j.id FROM pgqueue.jobs AS j WHERE j.workflow = :workflow::bigint LIMIT :limit::integer)
)
SELECT set_config('pgqueue_local.members', coalesce(array_agg(id), '{}')::text, true)
FROM member;

SELECT (to_jsonb(j) - ARRAY['args', 'result', 'metadata', 'progress'])::text
FROM pgqueue.jobs AS j
WHERE j.id = ANY ((SELECT current_setting('pgqueue_local.members')::bigint[])::bigint[])
ORDER BY j.id;

SELECT d.parent_id, d.child_id, d.policy, d.outcome, d.name
FROM pgqueue.dependency AS d
WHERE d.child_id = ANY ((SELECT current_setting('pgqueue_local.members')::bigint[])::bigint[])
  AND d.parent_id = ANY ((SELECT current_setting('pgqueue_local.members')::bigint[])::bigint[])
ORDER BY d.child_id, d.parent_id
LIMIT 10 * :limit::integer;
