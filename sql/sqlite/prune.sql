-- prune: deletes what is past its retention, a portion a call.
--
-- in:   retention JSON {state: seconds, or null for ever}; a state that is missing, or 0, is not kept
--       limit     integer: delete at most so many jobs in this call
--       now
-- out:  dropped, made: 0, there are no partitions · deleted: how many jobs were deleted · failed: {}
--       There is more to do until none is deleted
-- walks: pgqueue_archive_finished, from the oldest
-- trap: all writers wait for a call until it ends. What an unfinished child may still want to read
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
    LIMIT CAST(:limit AS INTEGER)
);

UPDATE pgqueue_sequence SET value = (SELECT number FROM pgqueue_last) WHERE name = 'job' AND :gone <> '[]';

DELETE FROM pgqueue_archive WHERE id IN (SELECT value FROM json_each(:gone));

SELECT 0, 0, json_array_length(:gone), '{}';
