-- turns: which of these queues claim_in_turn must serve, because they have limits; and which have a lowest share.
--
-- in:   queues JSON array of text
-- out:  name, limited, lowest_share: a fraction of one, or null; no row for a queue that has neither
SELECT q.name, q.limits IS NOT NULL, share.lowest
FROM pgqueue.queue AS q
CROSS JOIN LATERAL (
    SELECT ((coalesce(q.declared, '{}') || coalesce(q.changes, '{}')) ->> 'lowest_share')::float8
) AS share(lowest)
WHERE q.name = ANY (ARRAY(SELECT jsonb_array_elements_text(:queues::jsonb)))
  AND (q.limits IS NOT NULL OR share.lowest IS NOT NULL);
