-- unschedule: deletes schedules and the history of their instants; jobs that they have made stay.
--
-- in:   names JSON array of text
-- out:  name of each that was there
-- walks: the primary keys, in the order of the names
WITH locked AS MATERIALIZED (
    SELECT s.name
    FROM pgqueue.schedule AS s
    WHERE s.name = ANY (ARRAY(SELECT jsonb_array_elements_text(:names::jsonb)))
    ORDER BY s.name
    FOR UPDATE
), forgotten AS (
    DELETE FROM pgqueue.firing AS f WHERE f.schedule = ANY (ARRAY(SELECT name FROM locked))
)
DELETE FROM pgqueue.schedule AS s
WHERE s.name = ANY (ARRAY(SELECT name FROM locked))
RETURNING s.name;
