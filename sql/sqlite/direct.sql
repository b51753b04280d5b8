-- direct: asks workers to claim nothing more, to stop, or to go on as before.
--
-- in:   workers JSON array of ids · asked text: 'quiet', 'stop' or null
-- out:  id of those that are present
UPDATE pgqueue_worker
SET asked = :asked
WHERE id IN (SELECT value FROM json_each(:workers));

SELECT id FROM pgqueue_worker WHERE id IN (SELECT value FROM json_each(:workers)) ORDER BY id;
