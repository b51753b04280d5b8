-- progress: saves what running jobs report about themselves, for people and for their next attempt.
--
-- in:   jobs   JSON array of {id, lease, progress}, in id order; progress {fraction, note, checkpoint}
-- out:  id, lease, kept of those whose lease still holds; kept is false when somebody else's transaction holds the job
-- trap: waits for nobody: else one job that is held would delay the reports of all others, and their ends.
WITH free AS MATERIALIZED (
    SELECT g.id, g.lease, g.progress
    FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint, progress jsonb)
    CROSS JOIN LATERAL (
        SELECT FROM pgqueue.job AS j WHERE j.id = g.id AND j.lease = g.lease FOR NO KEY UPDATE SKIP LOCKED
    ) AS j
), kept AS (
    UPDATE pgqueue.job AS j
    SET progress = coalesce(j.progress, '{}') || free.progress
    FROM free
    WHERE j.id = ANY (ARRAY[free.id])
    RETURNING j.id, j.lease
)
SELECT id, lease, true FROM kept
UNION ALL
SELECT g.id, g.lease, false
FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint)
CROSS JOIN LATERAL (SELECT FROM pgqueue.job AS j WHERE j.id = g.id AND j.lease = g.lease OFFSET 0) AS j
WHERE g.id NOT IN (SELECT id FROM free);
