-- progress: saves what running jobs report about themselves, for people and for their next attempt.
--
-- in:   jobs   list of {id, lease, progress}, in id order; progress {fraction, note, checkpoint}, each as JSON text
-- out:  id, lease, kept of those whose lease still holds; kept is always true
-- uses: lib/store, lib/job
-- full: goes on
local ids, rows, seen, changed, changed_ids = {}, {}, {}, {}, {}
for n, row in ipairs(given.jobs) do ids[n] = row.id end
for n, job in ipairs(read(ids)) do
    local row = given.jobs[n]
    if job and job[LEASE] == row.lease then
        job = seen[row.id] or job
        job[PROGRESS] = job[PROGRESS] or {}
        for name, value in pairs(row.progress) do job[PROGRESS][name] = value end
        if not seen[row.id] then
            seen[row.id] = job
            changed[#changed + 1], changed_ids[#changed_ids + 1] = job, row.id
        end
        rows[#rows + 1] = {row.id, row.lease, true}
    end
end
write(changed_ids, changed)
return {rows}
