-- get: jobs by id, live or finished.
--
-- in:   ids   list of job ids
-- out:  one JSON document a job; a missing one never was, or is past its retention
-- uses: view
local CHUNK = 500
local ids, rest, rows = {}, {}, {}
for n, id in ipairs(given.ids) do table.insert(n <= CHUNK and ids or rest, id) end
for n, seen in ipairs(look_up(ids)) do
    if seen then rows[#rows + 1] = {view(ids[n], unpack(seen))} end
end
return {rows}, #rest > 0 and {ids = rest} or nil
