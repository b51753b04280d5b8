-- alive: this worker lives: a heartbeat that reads nothing but its own record.
--
-- in:   worker · session boolean: its presence shows · running · now
--       profile JSON text, as it joined; queues and info as they are now
-- out:  asked: quiet, stop or null, what somebody asks of this worker
-- uses: lib/worker
return {{{speaks(given.worker, given)[ASKED] or null}}}
