-- watch: each worker as a rescuer sees it.
--
-- in:   nothing
-- out:  id · beat: text that changes with each sign of life · well: its session, if it has one, is there, and
--       nobody has suspected it · back: its last heartbeat came from a session of the server's present run
-- uses: lib/worker
local rows, run = {}, run_id()
for n, entry in ipairs(read_workers()) do
    local id, worker = entry[1], entry[2]
    local well = not worker[SUSPECTED_AT] and (not worker[SESSION] or is_present(id))
    rows[n] = {id, text(worker[HEARTBEAT_AT]), well, worker[SERVER] == run}
end
return {rows}
