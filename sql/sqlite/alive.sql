-- alive: this worker lives: a heartbeat that reads nothing but its own row.
--
-- in:   worker  integer · session boolean: its presence lock is held · running integer · now
--       profile JSON {name, host, pid, queues, started_at, info}: to insert the row again if it is gone; in an existing row
--               only queues and info change
-- out:  asked: quiet, stop or null, what somebody asks of this worker

-- include: sign_of_life
WHERE true
-- include: sign_of_life_again
;

SELECT asked FROM pgqueue_worker WHERE id = CAST(:worker AS INTEGER);
