-- alive: this worker lives: a heartbeat that reads no other table, so it never waits for one.
--
-- in:   worker  integer · session boolean: its presence lock is held · running integer · now
--       profile JSON {name, host, pid, queues, started_at, info}: to insert the row again if it is gone; in an existing row
--               only queues and info change
-- out:  asked: quiet, stop or null, what somebody asks of this worker
-- trap: a lock on the job table, or on one of its rows, must not make a worker look dead.
INSERT INTO pgqueue.worker AS w (id, running, pid, started_at, heartbeat_at, session, name, host, queues, info, asked)
SELECT :worker::integer, :running::integer, p.pid, p.started_at, coalesce(:now::timestamptz, clock_timestamp()),
       :session::boolean, p.name, p.host, p.queues,
       coalesce(p.info, '{}') || CASE WHEN :session::boolean
                                      THEN jsonb_build_object('server', extract(epoch FROM pg_postmaster_start_time())::text)
                                      ELSE '{}' END,
       p.info ->> 'asked'
FROM jsonb_to_record(:profile::jsonb)
     AS p(pid integer, started_at timestamptz, name text, host text, queues text[], info jsonb)
ON CONFLICT (id) DO UPDATE
SET heartbeat_at = excluded.heartbeat_at, session = excluded.session, running = excluded.running,
    suspected_at = NULL, remaining = NULL, queues = excluded.queues, info = excluded.info
RETURNING w.asked;
