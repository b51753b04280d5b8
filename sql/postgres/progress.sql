-- progress: keeps what running jobs report of themselves, for people and for their next attempt.
--
-- in:   jobs   JSON array of {id, lease, progress}, in id order; progress {fraction, note, checkpoint}
-- out:  id, lease of those whose lease still holds
UPDATE pgqueue.job AS j
SET progress = coalesce(j.progress, '{}') || g.progress
FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint, progress jsonb)
WHERE j.id = ANY (ARRAY[g.id]) AND j.lease = g.lease
RETURNING j.id, j.lease;
