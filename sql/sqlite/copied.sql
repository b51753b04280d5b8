-- copied: the ids that jobs of another store got here.
--
-- in:   source text: the other store's store_id
--       ids    JSON array of their ids there
-- out:  id there, id here
SELECT c.source_id, c.id
FROM json_each(:ids) AS g
CROSS JOIN pgqueue_copied AS c ON c.source = :source AND c.source_id = g.value
WHERE c.here;
