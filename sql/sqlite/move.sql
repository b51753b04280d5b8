-- move: gives waiting jobs another queue or another priority, and a new place there.
--
-- in:   ids      JSON array of job ids
--       queue    text or null: unchanged · priority integer or null: unchanged
-- out:  id, state; a running one is left where it is, a missing one had finished or never existed
-- walks: the primary key
-- trap: a job that kept its position could lie below the floor of its new place, where claims seldom look.
--       Moved jobs keep their order. A job that leaves an ordered queue gives up its key's permit there.
SELECT json_group_array(id) AS ":waiting"
FROM (SELECT id FROM pgqueue_job
      WHERE id IN (SELECT value FROM json_each(:ids)) AND state <> 'running'
      ORDER BY priority, position);

UPDATE pgqueue_sequence
SET value = (SELECT number FROM pgqueue_last) + json_array_length(:waiting)
WHERE name = 'job'
RETURNING value - json_array_length(:waiting) + 1 AS ":first";

UPDATE pgqueue_job
SET queue = coalesce(:queue, queue),
    priority = coalesce(CAST(:priority AS INTEGER), priority),
    position = :first + w.key,
    permit = iif(:queue IS NULL OR :queue = queue, permit, NULL)
FROM json_each(:waiting) AS w
WHERE pgqueue_job.id = w.value;

SELECT id, state FROM pgqueue_job WHERE id IN (SELECT value FROM json_each(:ids));
