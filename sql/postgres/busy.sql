-- busy: which of these running jobs somebody else holds at this moment, so that finishing them would wait.
--
-- in:   jobs   JSON array of {id, lease}
-- out:  id, lease of each that is held: by a transaction that adds a child to it, or cancels it
-- trap: a job is held for as long as an application's transaction lasts. Whoever finishes many jobs at
--       once asks this before the second try, or one of them holds up all the others.
WITH free AS MATERIALIZED (
    SELECT j.id
    FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint)
    JOIN pgqueue.job AS j ON j.id = g.id AND j.lease = g.lease
    FOR UPDATE OF j SKIP LOCKED
)
SELECT j.id, j.lease
FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint)
JOIN pgqueue.job AS j ON j.id = g.id AND j.lease = g.lease
WHERE j.id NOT IN (SELECT id FROM free);
