-- heartbeat: this worker lives, and still holds these jobs.
--
-- in:   worker · session boolean: its presence shows · running · now
--       profile JSON text, as it joined; queues and info as they are now. The record is not written when it has this
--               beat (info.beats) already, from the `alive` that went before
--       jobs    list of {id, lease}
-- out:  id, lease, cancel_requested of those that are still held; a missing one was lost
-- uses: lib/worker, lib/job
-- full: goes on
local worker, beats = read_worker(given.worker), beats_in(given.profile)
if not (worker and beats and beats == beats_in(worker[PROFILE]) and not worker[SUSPECTED_AT]) then
    speaks(given.worker, given)
end

local ids, rows = {}, {}
for n, row in ipairs(given.jobs) do ids[n] = row.id end
for n, job in ipairs(read(ids)) do
    local lease = given.jobs[n].lease
    if job and job[LEASE] == lease then rows[#rows + 1] = {ids[n], lease, job[CANCEL_REQUESTED]} end
end
return {rows}
