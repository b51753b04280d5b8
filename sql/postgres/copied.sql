-- copied: which numbers jobs of another store were given here.
--
-- in:   source text: the other store's origin
--       ids    JSON array of their numbers there
-- out:  id there, id here
SELECT c.source_id, c.id
FROM jsonb_array_elements_text(:ids::jsonb) AS g(id)
CROSS JOIN LATERAL (
    SELECT source_id, id FROM pgqueue.copied
    WHERE source = :source::text AND source_id = g.id::bigint AND here OFFSET 0
) AS c;
