-- workflows: the workflows, the newest first, with how many of their jobs are in which state.
--
-- in:   id, before  bigint or null: only this one · only ids below it, for the next page
--       name, tag   text or null · limit integer
--       look        integer: count at most so many jobs of each
-- out:  one JSON document a workflow: id, name, tags, created_at, states
-- walks: the primary key from its end; job_workflow, archive_workflow
SELECT jsonb_build_object('id', w.id, 'name', w.name, 'tags', w.tags, 'created_at', w.created_at,
                          'states', coalesce(counted.states, '{}'))::text
FROM (
    SELECT *
    FROM pgqueue.workflow AS w
    WHERE (:id::bigint IS NULL OR w.id = :id::bigint)
      AND (:before::bigint IS NULL OR w.id < :before::bigint)
      AND (:name::text IS NULL OR w.name = :name::text)
      AND (:tag::text IS NULL OR :tag::text = ANY (w.tags))
    ORDER BY w.id DESC
    LIMIT :limit::integer
) AS w
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(state, n) AS states
    FROM (
        SELECT state, count(*) AS n
        FROM (SELECT j.state FROM pgqueue.jobs AS j WHERE j.workflow = w.id LIMIT :look::integer) AS looked_at
        GROUP BY state
    ) AS by_state
) AS counted
ORDER BY w.id DESC;
