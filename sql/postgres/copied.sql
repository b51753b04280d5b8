-- copied: the ids that jobs of another store got here.
--
-- in:   source text: the other store's store_id
--       ids    JSON array of their ids there
-- out:  id there, id here
SELECT c.source_id, c.id
FROM jsonb_array_elements_text(:ids::jsonb) AS g(id)
CROSS JOIN LATERAL (
    SELECT source_id, id FROM pgqueue.copied
    WHERE source = :source::text AND source_id = g.id::bigint AND here OFFSET 0
) AS c;
