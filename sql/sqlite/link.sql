-- link: makes edges from parents to children this transaction has just enqueued as blocked.
--
-- in:   edges  JSON array of {child, parent, policy, name}
--       merged JSON array of {child, blocked_by}: children with fewer edges than they were enqueued
--              with, because two of their parents turned out to be one job
--       elsewhere JSON array of the parents that this transaction has not enqueued itself
--       keep, now   as for complete
-- out:  nothing
-- then: parts/settle, parts/archive
-- trap: a parent may have finished: such edges are decided at once, by the same statements as all others.
--       A parent that is in neither table held a unique key, has finished since, and was not kept:
--       it counts as completed.
INSERT INTO pgqueue_dependency (child_id, parent_id, policy, name)
SELECT value ->> '$.child', value ->> '$.parent', value ->> '$.policy', value ->> '$.name'
FROM json_each(:edges);

UPDATE pgqueue_job
SET blocked_by = m.value ->> '$.blocked_by'
FROM json_each(:merged) AS m
WHERE pgqueue_job.id = m.value ->> '$.child';

SELECT json_group_object(p.value, coalesce(a.state, 'completed')) AS ":finished"
FROM json_each(:elsewhere) AS p
LEFT JOIN pgqueue_archive AS a ON a.id = p.value
WHERE NOT EXISTS (SELECT 1 FROM pgqueue_job AS j WHERE j.id = p.value);
