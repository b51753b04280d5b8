-- turns: which of these queues claim_in_turn must serve, because they have limits; and which have a lowest share.
--
-- in:   queues JSON array of text
-- out:  name, limited, lowest_share: a fraction of one, or null; no row for a queue that has neither
SELECT name, limits IS NOT NULL, json_patch(coalesce(declared, '{}'), coalesce(changes, '{}')) ->> '$.lowest_share' AS lowest
FROM pgqueue_queue
WHERE name IN (SELECT value FROM json_each(:queues)) AND (limits IS NOT NULL OR lowest IS NOT NULL);
