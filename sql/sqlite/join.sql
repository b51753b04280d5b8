-- join: registers a worker process under an identity that the process has drawn itself.
--
-- in:   worker integer · profile JSON {name, host, pid, queues, started_at, info} · session boolean: it
--       holds a presence lock · now
-- out:  id, unless another worker has it
-- trap: a worker that asks again, because the answer was lost, is the same worker.
INSERT INTO pgqueue_worker AS w (id, pid, started_at, heartbeat_at, session, name, host, queues, info)
SELECT CAST(:worker AS INTEGER), :profile ->> '$.pid',
       -- include: microseconds
       ,
       :now, :session = 'true', :profile ->> '$.name', :profile ->> '$.host', :profile -> '$.queues',
       coalesce(:profile -> '$.info', '{}')
FROM (SELECT :profile ->> '$.started_at' AS at)
WHERE true
ON CONFLICT (id) DO UPDATE
SET heartbeat_at = excluded.heartbeat_at
WHERE (w.pid, w.started_at, w.host) = (excluded.pid, excluded.started_at, excluded.host)
RETURNING id;
