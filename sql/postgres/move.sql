-- move: gives waiting jobs another queue or another priority, and a new place there.
--
-- in:   ids      JSON array of job ids
--       queue    text or null: unchanged · priority smallint or null: unchanged
-- out:  id, state; a running one is left where it is, a missing one had finished or never existed
-- walks: the primary key, in id order
-- trap: a job that kept its position could lie below the floor of its new place, where claims seldom look.
--       Moved jobs keep their order. A job that leaves an ordered queue gives up its key's permit there.
WITH locked AS MATERIALIZED (
    SELECT j.id, j.state, j.priority, j.position
    FROM pgqueue.job AS j
    WHERE j.id = ANY (ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint))
    ORDER BY j.id
    FOR NO KEY UPDATE
), placed AS MATERIALIZED (
    SELECT waiting.id, nextval('pgqueue.position') AS position
    FROM (SELECT id FROM locked WHERE state <> 'running' ORDER BY locked.priority, locked.position OFFSET 0) AS waiting
), moved AS (
    UPDATE pgqueue.job AS j
    SET queue = coalesce(:queue::text, j.queue),
        priority = coalesce(:priority::smallint, j.priority),
        position = placed.position,
        permit = CASE WHEN :queue::text IS NULL OR :queue::text = j.queue THEN j.permit END
    FROM placed
    WHERE j.id = ANY (ARRAY[placed.id])
    RETURNING j.queue, j.state
), woken AS (
    SELECT count(pgqueue.wake(queue)) FROM (SELECT DISTINCT queue FROM moved WHERE state = 'available') AS queues
)
SELECT locked.id, locked.state FROM woken LEFT JOIN locked ON true;
