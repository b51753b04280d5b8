-- trim: deletes edges and workflows whose jobs are all gone, a portion a call; its first call also deletes starts, of keys
-- that have not come again, which are too old for any rate.
--
-- in:   child, parent, workflow  bigint: where the last call stopped; at first 0
--       limit    integer: how many edges, and how many workflows, to look at
--       now
-- out:  child, parent, workflow: where this call stopped, NULL where nothing is left to look at
-- walks: the primary keys of dependency and workflow
-- trap: an edge is kept while either end is live, or its child is in the archive.
SELECT max(child_id) AS ":last_child", max(iif(child_id = greatest_child, parent_id, NULL)) AS ":last_parent"
FROM (
    SELECT child_id, parent_id, max(child_id) OVER () AS greatest_child
    FROM (
        SELECT child_id, parent_id
        FROM pgqueue_dependency
        WHERE (child_id, parent_id) > (CAST(:child AS INTEGER), CAST(:parent AS INTEGER))
        ORDER BY child_id, parent_id
        LIMIT CAST(:limit AS INTEGER)
    )
);

SELECT max(id) AS ":last_workflow"
FROM (
    SELECT id FROM pgqueue_workflow WHERE id > CAST(:workflow AS INTEGER) ORDER BY id LIMIT CAST(:limit AS INTEGER)
);

DELETE FROM pgqueue_dependency
WHERE (child_id, parent_id) > (CAST(:child AS INTEGER), CAST(:parent AS INTEGER))
  AND (child_id, parent_id) <= (:last_child, :last_parent)
  AND NOT EXISTS (SELECT 1 FROM pgqueue_job AS j WHERE j.id IN (child_id, parent_id))
  AND NOT EXISTS (SELECT 1 FROM pgqueue_archive AS a WHERE a.id = child_id);

DELETE FROM pgqueue_workflow
WHERE id > CAST(:workflow AS INTEGER) AND id <= :last_workflow
  AND NOT EXISTS (SELECT 1 FROM pgqueue_job AS j WHERE j.workflow = pgqueue_workflow.id)
  AND NOT EXISTS (SELECT 1 FROM pgqueue_archive AS a WHERE a.workflow = pgqueue_workflow.id);

DELETE FROM pgqueue_start
WHERE CAST(:child AS INTEGER) = 0
  AND at < :now - CAST(1000000 * (
      SELECT coalesce(max(seconds), 0)
      FROM (SELECT limits ->> '$.rate[1]' AS seconds FROM pgqueue_queue
            UNION ALL
            SELECT limits ->> '$.key_rate[1]' FROM pgqueue_queue
            UNION ALL
            SELECT limits ->> '$.rate[1]' FROM pgqueue_queue_key)) AS INTEGER);

SELECT :last_child, :last_parent, :last_workflow;
