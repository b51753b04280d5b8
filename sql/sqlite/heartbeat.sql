-- heartbeat: this worker lives, and still holds these jobs.
--
-- in:   worker  integer · session boolean: its presence lock is held · running integer · now
--       profile JSON {name, host, pid, queues, started_at, info}: to insert the row again if it is gone; in an existing row
--               only queues and info change. The row is not written when it has this beat (info.beats) already, from the
--               `alive` that went before.
--       jobs    JSON array of {id, lease}
-- out:  id, lease, cancel_requested of those that are still held; a missing one was lost

-- include: sign_of_life
WHERE NOT EXISTS (
    SELECT 1 FROM pgqueue_worker AS said
    WHERE said.id = CAST(:worker AS INTEGER) AND said.info ->> '$.beats' = :profile ->> '$.info.beats'
      AND said.suspected_at IS NULL)
-- include: sign_of_life_again
;

SELECT j.id, j.lease, j.cancel_requested
FROM json_each(:jobs) AS g
CROSS JOIN pgqueue_job AS j ON j.id = g.value ->> '$.id'
WHERE j.lease = g.value ->> '$.lease';
