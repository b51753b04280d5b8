-- busy: which of these running jobs somebody else holds at this moment, so that finishing them would wait.
--
-- in:   jobs   JSON array of {id, lease}
-- out:  id, lease of each that is held: by a transaction that adds a child to it, or cancels it
-- trap: a job is held for as long as an application's transaction lasts. Whoever finishes many jobs at
--       once asks this before the second try, or one of them holds up all the others.
WITH free AS MATERIALIZED (
    SELECT g.id
    FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint)
    CROSS JOIN LATERAL (
        SELECT FROM pgqueue.job AS j WHERE j.id = g.id AND j.lease = g.lease FOR UPDATE SKIP LOCKED
    ) AS j
)
SELECT g.id, g.lease
FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint)
CROSS JOIN LATERAL (SELECT FROM pgqueue.job AS j WHERE j.id = g.id AND j.lease = g.lease OFFSET 0) AS j
WHERE g.id NOT IN (SELECT id FROM free);
