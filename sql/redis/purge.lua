-- purge: deletes finished jobs now, whatever their retention.
--
-- in:   ids   list of at most a thousand job ids
-- out:  id, answer: 'purged', or 'wanted' for a job whose result an unfinished child may still read; a missing
--       one has not finished, or never existed
-- uses: lib/archive
-- full: goes on
local ids, rows = given.ids, {}
for n, ended in ipairs(read_ended(ids)) do
    local id = ids[n]
    if ended and ended[ENDED_JOB][CHILDREN] and is_wanted(id) then
        rows[#rows + 1] = {id, 'wanted'}
    elseif ended then
        erase(id, ended[ENDED_JOB])
        rows[#rows + 1] = {id, 'purged'}
    end
end
return {rows}
