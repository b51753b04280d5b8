-- join: a worker process enters, under an identity that never was and never will be again.
--
-- in:   profile JSON {name, host, pid, queues, started_at, info} · session boolean: it holds a presence
--       lock · now
-- out:  id, and the first lease of a block of ten million
UPDATE pgqueue_sequence SET value = value + 10000000 WHERE name = 'lease' RETURNING value AS ":lease";

UPDATE pgqueue_sequence SET value = value + 1 WHERE name = 'worker' RETURNING value AS ":worker";

INSERT INTO pgqueue_worker (id, pid, started_at, heartbeat_at, session, name, host, queues, info)
SELECT :worker, :profile ->> '$.pid',
       strftime('%s', substr(at, 1, 19) || substr(at, iif(substr(at, 20, 1) = '.', 27, 20))) * 1000000
           + iif(substr(at, 20, 1) = '.', substr(at, 21, 6), 0),
       :now, :session = 'true', :profile ->> '$.name', :profile ->> '$.host', :profile -> '$.queues',
       coalesce(:profile -> '$.info', '{}')
FROM (SELECT :profile ->> '$.started_at' AS at)
RETURNING id, :lease;
