-- copied: which numbers jobs of another store were given here.
--
-- in:   source text: the other store's origin
--       ids    JSON array of their numbers there
-- out:  id there, id here
SELECT c.source_id, c.id
FROM json_each(:ids) AS g
CROSS JOIN pgqueue_copied AS c ON c.source = :source AND c.source_id = g.value
WHERE c.here;
