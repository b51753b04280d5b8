-- settle: tells the children of the jobs that have just finished. Every way to finish ends here.
--
-- in:   finished {id: state}, from the statements before
--       keep, now   as for complete
-- out:  again: children were cancelled because a parent failed; they are passed on to archive, and then their own
--       children come next
--       queues: those that have new work, '@' for what is due later; or null
-- trap: an edge is decided once (outcome), and what several parents take off the count of one child is summed first:
--       500 parents of one child are one update.
SELECT json_group_array(json_array(id, decided, spoiled_by, outcome)) AS ":children"
FROM (
    SELECT d.child_id AS id, count(*) AS decided, f.value AS outcome, -- of the row with that minimum
           min(CASE WHEN f.value <> 'completed' AND d.policy = 'cancel' THEN d.parent_id END) AS spoiled_by
    FROM json_each(:finished) AS f
    CROSS JOIN pgqueue_dependency AS d ON d.parent_id = CAST(f.key AS INTEGER)
    WHERE d.outcome IS NULL
    GROUP BY d.child_id
    ORDER BY d.child_id
);

UPDATE pgqueue_dependency
SET outcome = f.value
FROM json_each(:finished) AS f
WHERE :children <> '[]' AND parent_id = CAST(f.key AS INTEGER) AND outcome IS NULL;

UPDATE pgqueue_sequence
SET value = (SELECT number FROM pgqueue_last) + json_array_length(:children)
WHERE name = 'job' AND :children <> '[]'
RETURNING value - json_array_length(:children) + 1 AS ":first";

UPDATE pgqueue_job
SET blocked_by = blocked_by - (c.value ->> 1),
    state = CASE WHEN blocked_by > c.value ->> 1 THEN 'blocked'
                 WHEN run_at > :now THEN 'scheduled'
                 ELSE 'available' END,
    position = iif(blocked_by > c.value ->> 1, position, :first + c.key),
    run_at = iif(blocked_by > c.value ->> 1, run_at, max(run_at, :now))
FROM json_each(:children) AS c
WHERE pgqueue_job.id = c.value ->> 0 AND state = 'blocked' AND c.value ->> 2 IS NULL;

SELECT json_group_array(json_object(
           'id', j.id, 'state', 'cancelled', 'cause', c.value ->> 2,
           'reason', printf('parent %d was %s', c.value ->> 2, c.value ->> 3)))
       AS ":ending"
FROM json_each(:children) AS c
CROSS JOIN pgqueue_job AS j ON j.id = c.value ->> 0
WHERE c.value ->> 2 IS NOT NULL AND j.state = 'blocked';

SELECT :ending <> '[]' AS again, (
    SELECT nullif(json_group_array(topic), '[]')
    FROM (SELECT DISTINCT iif(j.state = 'available', j.queue, '@') AS topic
          FROM json_each(:children) AS c
          CROSS JOIN pgqueue_job AS j ON j.id = c.value ->> 0
          WHERE j.state IN ('available', 'scheduled') AND j.position = :first + c.key)) AS "queues[]";
