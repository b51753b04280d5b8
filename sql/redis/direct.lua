-- direct: asks workers to claim nothing more, to stop, or to go on as before, and notifies them.
--
-- in:   workers list of ids · asked text: 'quiet', 'stop' or null
-- out:  id of those that are present
-- uses: lib/worker
-- full: goes on
local rows = {}
for _, id in ipairs(given.workers) do
    local worker = read_worker(id)
    if worker then
        worker[ASKED] = given.asked or false
        write_worker(id, worker)
        local topic = '!' .. text(id)
        call('PUBLISH', channel .. topic, topic)
        rows[#rows + 1] = {id}
    end
end
table.sort(rows, function(one, other) return one[1] < other[1] end)
return {rows}
