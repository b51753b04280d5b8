-- purge: deletes finished jobs now, whatever their retention.
--
-- in:   ids   JSON array of job ids
-- out:  nothing that is read; then id, answer: 'purged', or 'wanted' for a job whose result an unfinished child may
--       still read; a missing one has not finished, or never existed
-- walks: archive_id of each partition
-- trap: rows are locked first and deleted by a new statement, which sees a child that was added meanwhile. Edges are
--       left to trim, as prune does.
SELECT a.id
FROM pgqueue.archive AS a
WHERE a.id = ANY (ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint))
ORDER BY a.id
FOR UPDATE;

WITH wanted AS MATERIALIZED (
    SELECT g.id, EXISTS (
               SELECT FROM pgqueue.dependency AS d
               WHERE d.parent_id = g.id AND (SELECT j.id FROM pgqueue.job AS j WHERE j.id = d.child_id) IS NOT NULL
           ) AS wanted
    FROM (SELECT jsonb_array_elements_text(:ids::jsonb)::bigint AS id) AS g
), gone AS (
    DELETE FROM pgqueue.archive AS a
    WHERE a.id = ANY (ARRAY(SELECT id FROM wanted WHERE NOT wanted.wanted))
    RETURNING a.id
)
SELECT id, 'purged' FROM gone
UNION ALL
SELECT a.id, 'wanted' FROM pgqueue.archive AS a WHERE a.id = ANY (ARRAY(SELECT id FROM wanted WHERE wanted.wanted));
