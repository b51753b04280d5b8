-- get: jobs by id, live or finished.
--
-- in:   ids   list of at most a thousand job ids
-- out:  one JSON document a job; a missing one never existed, or is past its retention
-- uses: lib/view
local ids, rows = given.ids, {}
for n, seen in ipairs(look_up(ids)) do
    if seen then rows[#rows + 1] = {view(ids[n], unpack(seen))} end
end
return {rows}
