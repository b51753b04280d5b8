-- limits: what is declared of a queue, and changed, comes to.
--
-- in:   queue text
-- out:  all of it: JSON object, or null. A lowest share is no limit, and leaves the queue to the plain claim
SELECT json_patch(coalesce(declared, '{}'), coalesce(changes, '{}')) AS ":said" FROM pgqueue_queue WHERE name = :queue;

UPDATE pgqueue_queue
SET limits = iif(EXISTS (SELECT 1 FROM pgqueue_queue_key AS k WHERE k.queue = :queue),
                 json_remove(:said, '$.lowest_share'),
                 nullif(json_remove(:said, '$.lowest_share'), '{}'))
WHERE name = :queue;

SELECT coalesce(nullif(:said, '{}'), limits) FROM pgqueue_queue WHERE name = :queue;
