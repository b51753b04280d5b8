-- alive: this worker lives: a heartbeat that reads no other table, so it never waits for one.
--
-- in:   worker  integer · session boolean: its presence lock is held · running integer · now
--       profile JSON {name, host, pid, queues, started_at, info}: to insert the row again if it is gone; in an existing row
--               only queues and info change
-- out:  asked: quiet, stop or null, what somebody asks of this worker
-- trap: a lock on the job table, or on one of its rows, must not make a worker look dead.

-- include: sign_of_life
-- include: sign_of_life_again
RETURNING w.asked;
