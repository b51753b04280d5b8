-- locked: tells which of these running jobs cannot be finished without waiting for another transaction; locks the others.
--
-- in:   jobs   JSON array of {id, lease, stays}, in id order; stays: it is to be tried again, and keeps its row
-- out:  id, lease of each that is locked, for example by a transaction that adds a child to it or cancels it; then of each
--       that has a locked child, or a locked edge to one
-- trap: an application holds a row for as long as its transaction lasts. So nothing here waits, and what
--       follows in this transaction gives up after 20 ms: it may still meet a lock that no row shows, such as that of
--       a table, of another job's new unique key or of a grandchild. Looks for children once their parents
--       are locked: until then more children may come.
WITH free AS MATERIALIZED (
    SELECT g.id, true AS leaves
    FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint, stays boolean)
    CROSS JOIN LATERAL (
        SELECT FROM pgqueue.job AS j
        WHERE j.id = g.id AND j.lease = g.lease AND NOT (g.stays AND j.attempt < j.max_attempts AND NOT j.cancel_requested)
        FOR UPDATE SKIP LOCKED
    ) AS j
    UNION ALL
    SELECT g.id, false
    FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint, stays boolean)
    CROSS JOIN LATERAL (
        SELECT FROM pgqueue.job AS j
        WHERE j.id = g.id AND j.lease = g.lease AND g.stays AND j.attempt < j.max_attempts AND NOT j.cancel_requested
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS j
), hurried AS (
    SELECT set_config('pgqueue_local.leaving', ARRAY(SELECT id FROM free WHERE leaves)::text, true),
           set_config('lock_timeout', '20ms', true)
)
SELECT g.id, g.lease
FROM hurried
CROSS JOIN jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint)
CROSS JOIN LATERAL (SELECT FROM pgqueue.job AS j WHERE j.id = g.id AND j.lease = g.lease OFFSET 0) AS j
WHERE g.id NOT IN (SELECT id FROM free);

WITH edge AS MATERIALIZED (
    SELECT d.parent_id, d.child_id
    FROM pgqueue.dependency AS d
    WHERE d.parent_id = ANY ((SELECT current_setting('pgqueue_local.leaving')::bigint[])::bigint[]) AND d.outcome IS NULL
), free_edge AS MATERIALIZED (
    SELECT d.parent_id, d.child_id
    FROM pgqueue.dependency AS d
    WHERE d.parent_id = ANY ((SELECT current_setting('pgqueue_local.leaving')::bigint[])::bigint[]) AND d.outcome IS NULL
    FOR NO KEY UPDATE SKIP LOCKED
), child AS MATERIALIZED (
    SELECT c.id
    FROM (SELECT DISTINCT child_id FROM edge ORDER BY child_id) AS e
    CROSS JOIN LATERAL (SELECT j.id FROM pgqueue.job AS j WHERE j.id = e.child_id AND j.state = 'blocked' OFFSET 0) AS c
), free_child AS MATERIALIZED (
    SELECT child.id
    FROM child
    CROSS JOIN LATERAL (SELECT FROM pgqueue.job AS j WHERE j.id = child.id FOR NO KEY UPDATE SKIP LOCKED) AS j
), held AS MATERIALIZED (
    SELECT parent_id FROM edge WHERE (parent_id, child_id) NOT IN (SELECT parent_id, child_id FROM free_edge)
    UNION
    SELECT parent_id FROM edge
    WHERE child_id IN (SELECT id FROM child) AND child_id NOT IN (SELECT id FROM free_child)
)
SELECT g.id, g.lease
FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint)
WHERE g.id IN (SELECT parent_id FROM held);
