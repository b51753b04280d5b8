-- link: makes edges from parents to children this transaction has just enqueued as blocked.
--
-- in:   edges  JSON array of {child, parent, policy, name}
--       merged JSON array of {child, blocked_by}: children with fewer edges than they were enqueued
--              with, because two of their parents turned out to be one job
--       elsewhere JSON array of the parents that this transaction has not enqueued itself
--       keep, now   as for complete
-- out:  nothing
-- then: settle, archive
-- trap: a parent may have finished, before this call or while we waited for its row, or may just be
--       retried (as for hold): such edges are decided at once, by the same statement as all others. One
--       that is in neither table was the holder of a unique key, finished since, and was not kept: it
--       counts as completed.
SELECT id
FROM pgqueue.job
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text(:elsewhere::jsonb)::bigint))
ORDER BY id
FOR KEY SHARE;

SELECT id
FROM pgqueue.archive
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text(:elsewhere::jsonb)::bigint))
ORDER BY id
FOR KEY SHARE;

SELECT id
FROM pgqueue.job
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text(:elsewhere::jsonb)::bigint))
ORDER BY id
FOR KEY SHARE;

INSERT INTO pgqueue.dependency (child_id, parent_id, policy, name)
SELECT child, parent, policy, name
FROM jsonb_to_recordset(:edges::jsonb) AS e(child bigint, parent bigint, policy text, name text);

UPDATE pgqueue.job AS j
SET blocked_by = m.blocked_by
FROM jsonb_to_recordset(:merged::jsonb) AS m(child bigint, blocked_by integer)
WHERE j.id = m.child;

SELECT set_config('pgqueue_local.finished', coalesce(jsonb_object_agg(p.id, coalesce(a.state, 'completed')), '{}')::text, true)
FROM (SELECT jsonb_array_elements_text(:elsewhere::jsonb)::bigint AS id) AS p
LEFT JOIN pgqueue.archive AS a
    ON a.id = p.id AND a.id = ANY (ARRAY(SELECT jsonb_array_elements_text(:elsewhere::jsonb)::bigint))
WHERE NOT EXISTS (SELECT FROM pgqueue.job AS j WHERE j.id = p.id);
