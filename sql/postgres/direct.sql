-- direct: asks workers to claim nothing more, to stop, or to go on as before, and notifies them.
--
-- in:   workers JSON array of ids · asked text: 'quiet', 'stop' or null
-- out:  id of those that are present
WITH told AS (
    UPDATE pgqueue.worker AS w
    SET asked = :asked::text
    WHERE w.id = ANY (ARRAY(SELECT g::integer FROM jsonb_array_elements_text(:workers::jsonb) AS g))
    RETURNING w.id
), woken AS (
    SELECT count(pg_notify('pgqueue', '!' || id)) FROM told
)
SELECT told.id FROM told CROSS JOIN woken ORDER BY told.id;
