-- sign_of_life: the row that a worker writes to say that it lives, an INSERT up to its FROM.
--
-- in:   worker, session, running, now, profile  as for alive
INSERT INTO pgqueue_worker (id, running, pid, started_at, heartbeat_at, session, name, host, queues, info, asked)
SELECT CAST(:worker AS INTEGER), CAST(:running AS INTEGER), :profile ->> '$.pid',
       -- include: microseconds
       ,
       :now, :session = 'true', :profile ->> '$.name', :profile ->> '$.host', :profile -> '$.queues',
       coalesce(:profile -> '$.info', '{}'), :profile ->> '$.info.asked'
FROM (SELECT :profile ->> '$.started_at' AS at)
