-- join: a worker process enters, under an identity that never was and never will be again.
--
-- in:   profile JSON {name, host, pid, queues, started_at, info} · session boolean: it holds a presence
--       lock · now
-- out:  id, and the first lease of a block of ten million; the leader is woken, to look after one more
-- trap: must commit durably, also on a connection that commits claims asynchronously.
INSERT INTO pgqueue.worker (pid, started_at, heartbeat_at, session, name, host, queues, info)
SELECT p.pid, p.started_at, coalesce(:now::timestamptz, clock_timestamp()), :session::boolean,
       p.name, p.host, p.queues, coalesce(p.info, '{}')
FROM jsonb_to_record(:profile::jsonb)
     AS p(pid integer, started_at timestamptz, name text, host text, queues text[], info jsonb)
RETURNING id, nextval('pgqueue.lease'), pgqueue.wake('@')::text;
