-- hold: which of these jobs exist, so that a child can be added to them within the hour.
--
-- in:   ids    list of job ids
-- out:  id of each that exists, live or finished
-- uses: lib/store, lib/job
-- trap: nothing is kept from finishing: if a parent finishes before its child is linked, `link` finds it finished. A parent
--       that is not kept, or not for long, may be gone by then: so its end is noted for those who hold it.
local jobs, ended = fetch(root .. 'job', given.ids), read_ended(given.ids)
local rows = {}
for n, id in ipairs(given.ids) do
    if jobs[n] or ended[n] then
        rows[#rows + 1] = {id}
        note_held(id, not jobs[n] and ended[n][ENDED_JOB][STATE] or 'live')
    end
end
return {rows}
