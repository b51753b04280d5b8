-- alive: this worker lives: a heartbeat that reads no other table, so it never waits for one.
--
-- in:   worker  integer · session boolean: its presence lock is held · running integer · now
--       profile JSON {name, host, pid, queues, started_at, info}: to insert the row again if it is gone; in an existing row
--               only queues and info change
-- out:  asked: quiet, stop or null, what somebody asks of this worker
-- trap: a lock on the job table, or on one of its rows, must not make a worker look dead.

-- include: spoken
ON CONFLICT (id) DO UPDATE
SET heartbeat_at = excluded.heartbeat_at, session = excluded.session, running = excluded.running,
    suspected_at = NULL, remaining = NULL, queues = excluded.queues, info = excluded.info
RETURNING w.asked;
