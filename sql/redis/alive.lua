-- alive: this worker lives: a heartbeat that reads nothing but its own record.
--
-- in:   worker · session boolean: its presence shows · running · now
--       profile JSON text, as it joined; queues and info as they are now
-- out:  asked: quiet, stop or null, what somebody asks of this worker
-- uses: lib/worker
local worker = read_worker(given.worker) or {[ASKED] = asked_in(given.profile)}
worker[PROFILE] = given.profile
worker[RUNNING], worker[HEARTBEAT_AT], worker[SUSPECTED_AT] = given.running, clock(given), false
worker[SESSION] = given.session
write_worker(given.worker, worker)
return {{{worker[ASKED] or null}}}
