-- alive: this worker lives: a heartbeat that reads nothing but its own row.
--
-- in:   worker  integer · session boolean: its presence lock is held · running integer · now
--       profile JSON {name, host, pid, queues, started_at, info}: to insert the row again if it is gone; in an existing row
--               only queues and info change
-- out:  asked: quiet, stop or null, what somebody asks of this worker
INSERT INTO pgqueue_worker (id, running, pid, started_at, heartbeat_at, session, name, host, queues, info, asked)
SELECT CAST(:worker AS INTEGER), CAST(:running AS INTEGER), :profile ->> '$.pid',
       strftime('%s', substr(at, 1, 19) || substr(at, iif(substr(at, 20, 1) = '.', 27, 20))) * 1000000
           + iif(substr(at, 20, 1) = '.', substr(at, 21, 6), 0),
       :now, :session = 'true', :profile ->> '$.name', :profile ->> '$.host', :profile -> '$.queues',
       coalesce(:profile -> '$.info', '{}'), :profile ->> '$.info.asked'
FROM (SELECT :profile ->> '$.started_at' AS at)
WHERE true
ON CONFLICT (id) DO UPDATE
SET heartbeat_at = excluded.heartbeat_at, session = excluded.session, running = excluded.running,
    suspected_at = NULL, queues = excluded.queues, info = excluded.info;

SELECT asked FROM pgqueue_worker WHERE id = CAST(:worker AS INTEGER);
