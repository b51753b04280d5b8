-- heartbeat: this worker lives, and still holds these jobs.
--
-- in:   worker  integer · session boolean: its presence lock is held · running integer · now
--       profile JSON {name, host, pid, queues, started_at, info}: to insert the row again if it is gone; in an existing row
--               only queues and info change. The row is not written when it has this beat (info.beats) already, from the
--               `alive` that went before: a second update would leave a second dead row. Nor is it written when another
--               transaction has locked it: which jobs are still held must be known all the same.
--       jobs    JSON array of {id, lease}
-- out:  id, lease, cancel_requested of those that are still held; a missing one was lost
WITH known AS MATERIALIZED (
    SELECT w.info -> 'beats' AS beats, w.suspected_at IS NULL AND w.remaining IS NULL AS well
    FROM pgqueue.worker AS w
    WHERE w.id = :worker::integer
), free AS MATERIALIZED (
    SELECT FROM pgqueue.worker AS w WHERE w.id = :worker::integer FOR NO KEY UPDATE SKIP LOCKED
)
-- include: sign_of_life
WHERE CASE WHEN EXISTS (SELECT FROM known AS k WHERE k.well AND k.beats = p.info -> 'beats') THEN false
           WHEN EXISTS (SELECT FROM known) THEN EXISTS (SELECT FROM free)
           ELSE true END
-- include: sign_of_life_again
;

SELECT g.id, g.lease, j.cancel_requested
FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint)
CROSS JOIN LATERAL (SELECT cancel_requested FROM pgqueue.job AS j WHERE j.id = g.id AND j.lease = g.lease OFFSET 0) AS j;
