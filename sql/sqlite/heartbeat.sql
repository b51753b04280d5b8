-- heartbeat: this worker lives, and still holds these jobs.
--
-- in:   worker  integer · session boolean: its presence lock is held · running integer · now
--       profile JSON {name, host, pid, queues, started_at, info}: to insert the row again if it is gone; in an existing row
--               only queues and info change. The row is not written when it has this beat (info.beats) already, from the
--               `alive` that went before.
--       jobs    JSON array of {id, lease}
-- out:  id, lease, cancel_requested of those that are still held; a missing one was lost
INSERT INTO pgqueue_worker (id, running, pid, started_at, heartbeat_at, session, name, host, queues, info, asked)
SELECT CAST(:worker AS INTEGER), CAST(:running AS INTEGER), :profile ->> '$.pid',
       strftime('%s', substr(at, 1, 19) || substr(at, iif(substr(at, 20, 1) = '.', 27, 20))) * 1000000
           + iif(substr(at, 20, 1) = '.', substr(at, 21, 6), 0),
       :now, :session = 'true', :profile ->> '$.name', :profile ->> '$.host', :profile -> '$.queues',
       coalesce(:profile -> '$.info', '{}'), :profile ->> '$.info.asked'
FROM (SELECT :profile ->> '$.started_at' AS at)
WHERE NOT EXISTS (
    SELECT 1 FROM pgqueue_worker AS said
    WHERE said.id = CAST(:worker AS INTEGER) AND said.info ->> '$.beats' = :profile ->> '$.info.beats'
      AND said.suspected_at IS NULL)
ON CONFLICT (id) DO UPDATE
SET heartbeat_at = excluded.heartbeat_at, session = excluded.session, running = excluded.running,
    suspected_at = NULL, queues = excluded.queues, info = excluded.info;

SELECT j.id, j.lease, j.cancel_requested
FROM json_each(:jobs) AS g
CROSS JOIN pgqueue_job AS j ON j.id = g.value ->> '$.id'
WHERE j.lease = g.value ->> '$.lease';
