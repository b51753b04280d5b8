-- heartbeat: this worker lives; says what it still holds.
--
-- in:   worker  integer · session boolean: its presence lock is held · running integer · now
--       profile JSON {name, host, pid, queues, started_at, info}: as it joined, should its row be gone; info as it is now
--       jobs    JSON array of {id, lease}
-- out:  id, lease, cancel_requested of those that are still held; a missing one was lost
INSERT INTO pgqueue.worker AS w (id, running, pid, started_at, heartbeat_at, session, name, host, queues, info)
SELECT :worker::integer, :running::integer, p.pid, p.started_at, coalesce(:now::timestamptz, clock_timestamp()),
       :session::boolean, p.name, p.host, p.queues, coalesce(p.info, '{}')
FROM jsonb_to_record(:profile::jsonb)
     AS p(pid integer, started_at timestamptz, name text, host text, queues text[], info jsonb)
ON CONFLICT (id) DO UPDATE
SET heartbeat_at = excluded.heartbeat_at, session = excluded.session, running = excluded.running,
    suspected_at = NULL, info = excluded.info;

SELECT g.id, g.lease, j.cancel_requested
FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint)
CROSS JOIN LATERAL (SELECT cancel_requested FROM pgqueue.job AS j WHERE j.id = g.id AND j.lease = g.lease OFFSET 0) AS j;
