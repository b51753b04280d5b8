-- hold: which of these jobs exist, so that a child can be added to them.
--
-- in:   ids    list of job ids
-- out:  id of each that exists, live or finished
-- uses: store, job
-- trap: nothing is held: a parent that finishes before its child is linked is found finished by `link`, as
--       no script is interrupted by another.
local jobs, ended = fetch(root .. 'job', given.ids), read_ended(given.ids)
local rows = {}
for n, id in ipairs(given.ids) do
    if jobs[n] or ended[n] then rows[#rows + 1] = {id} end
end
return {rows}
