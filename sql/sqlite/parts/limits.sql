-- limits: combines what is declared for a queue with what was changed.
--
-- in:   queue text
-- out:  the result: JSON object, or null. A lowest share is no limit: the plain claim goes on serving the queue
SELECT json_patch(coalesce(declared, '{}'), coalesce(changes, '{}')) AS ":said" FROM pgqueue_queue WHERE name = :queue;

UPDATE pgqueue_queue
SET limits = iif(EXISTS (SELECT 1 FROM pgqueue_queue_key AS k WHERE k.queue = :queue),
                 json_remove(:said, '$.lowest_share'),
                 nullif(json_remove(:said, '$.lowest_share'), '{}'))
WHERE name = :queue;

SELECT coalesce(nullif(:said, '{}'), limits) FROM pgqueue_queue WHERE name = :queue;
