-- prune: what is past its retention goes, up to twenty thousand jobs a call.
--
-- in:   retention JSON {state: seconds, or null for ever}; a state that is missing, or 0, is not kept
--       now
-- out:  dropped: 0, there are no partitions · deleted: how many jobs went; ask again until none did
-- walks: pgqueue_archive_finished, from the oldest
-- trap: one call holds up every writer while it lasts. What an unfinished child may still want to read
--       stays.
SELECT json_group_array(id) AS ":gone"
FROM (
    SELECT a.id
    FROM (SELECT 'completed' AS state UNION ALL SELECT 'cancelled' UNION ALL SELECT 'discarded') AS s
    CROSS JOIN pgqueue_archive AS a ON a.state = s.state
        AND a.finished_at <= :now - CAST(coalesce(:retention ->> ('$.' || s.state), 0) * 1000000 AS INTEGER)
    WHERE coalesce(json_type(:retention, '$.' || s.state), '') <> 'null'
      AND NOT EXISTS (
          SELECT 1 FROM pgqueue_dependency AS d
          CROSS JOIN pgqueue_job AS j ON j.id = d.child_id
          WHERE d.parent_id = a.id)
    LIMIT 20000
);

UPDATE pgqueue_sequence SET value = (SELECT number FROM pgqueue_last) WHERE name = 'job' AND :gone <> '[]';

DELETE FROM pgqueue_archive WHERE id IN (SELECT value FROM json_each(:gone));

DELETE FROM pgqueue_dependency
WHERE (:gone <> '[]' OR coalesce(:retention ->> '$.completed', 1) * coalesce(:retention ->> '$.cancelled', 1)
                        * coalesce(:retention ->> '$.discarded', 1) = 0)
  AND NOT EXISTS (SELECT 1 FROM pgqueue_job AS j WHERE j.id IN (child_id, parent_id))
  AND NOT EXISTS (SELECT 1 FROM pgqueue_archive AS a WHERE a.id = child_id);

DELETE FROM pgqueue_workflow
WHERE (:gone <> '[]' OR coalesce(:retention ->> '$.completed', 1) * coalesce(:retention ->> '$.cancelled', 1)
                        * coalesce(:retention ->> '$.discarded', 1) = 0)
  AND NOT EXISTS (SELECT 1 FROM pgqueue_job AS j WHERE j.workflow = pgqueue_workflow.id)
  AND NOT EXISTS (SELECT 1 FROM pgqueue_archive AS a WHERE a.workflow = pgqueue_workflow.id);

SELECT 0, json_array_length(:gone);
