-- alive: this worker lives. Says only that.
--
-- in:   worker · session boolean: its presence shows · running · now
--       profile JSON text, as it joined; queues and info as they are now
-- out:  no rows
-- uses: lib/worker
local worker = read_worker(given.worker) or {}
worker[PROFILE] = given.profile
worker[RUNNING], worker[HEARTBEAT_AT], worker[SUSPECTED_AT] = given.running, clock(given), false
worker[SESSION] = given.session
write_worker(given.worker, worker)
return {{}}
