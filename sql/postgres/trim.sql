-- trim: deletes edges and workflows whose jobs are all gone, a portion a call; its first call also deletes starts, of keys
-- that have not come again, which are too old for any rate.
--
-- in:   child, parent, workflow  bigint: where the last call stopped; at first 0
--       limit    integer: how many edges, and how many workflows, to look at
-- out:  child, parent, workflow: where this call stopped, NULL where nothing is left to look at
-- walks: the primary keys of dependency and workflow
-- trap: an edge is kept while either end is live, or its child is in the archive.
WITH edge AS MATERIALIZED (
    SELECT child_id, parent_id
    FROM pgqueue.dependency
    WHERE (child_id, parent_id) > (:child::bigint, :parent::bigint)
    ORDER BY child_id, parent_id
    LIMIT :limit::integer
), flow AS MATERIALIZED (
    SELECT id FROM pgqueue.workflow WHERE id > :workflow::bigint ORDER BY id LIMIT :limit::integer
), unwanted AS MATERIALIZED (
    SELECT child_id, parent_id
    FROM edge
    WHERE (SELECT j.id FROM pgqueue.job AS j WHERE j.id = edge.child_id) IS NULL
      AND (SELECT j.id FROM pgqueue.job AS j WHERE j.id = edge.parent_id) IS NULL
      AND (SELECT a.id FROM pgqueue.archive AS a WHERE a.id = edge.child_id LIMIT 1) IS NULL
), cut AS (
    DELETE FROM pgqueue.dependency AS d
    USING unwanted AS u
    WHERE d.child_id = ANY (ARRAY[u.child_id]) AND d.parent_id = u.parent_id
), forgotten AS (
    DELETE FROM pgqueue.start
    WHERE :child::bigint = 0
      AND at < clock_timestamp() - make_interval(secs => (
          SELECT coalesce(max(seconds), 0)
          FROM (SELECT (limits #>> '{rate,1}')::float8 FROM pgqueue.queue
                UNION ALL
                SELECT (limits #>> '{key_rate,1}')::float8 FROM pgqueue.queue
                UNION ALL
                SELECT (limits #>> '{rate,1}')::float8 FROM pgqueue.queue_key) AS period(seconds)))
), closed AS (
    DELETE FROM pgqueue.workflow AS w
    USING flow
    WHERE w.id = ANY (ARRAY[flow.id])
      AND (SELECT j.id FROM pgqueue.job AS j WHERE j.workflow = flow.id LIMIT 1) IS NULL
      AND (SELECT a.id FROM pgqueue.archive AS a WHERE a.workflow = flow.id LIMIT 1) IS NULL
)
SELECT (SELECT child_id FROM edge ORDER BY child_id DESC, parent_id DESC LIMIT 1),
       (SELECT parent_id FROM edge ORDER BY child_id DESC, parent_id DESC LIMIT 1),
       (SELECT max(id) FROM flow);
