-- copied: the ids that jobs of another store got here.
--
-- in:   source the other store's store_id
--       ids    list of their ids there
-- out:  id there, id here
-- uses: lib/store
local rows, here = {}, fetch(root .. 'copied:' .. given.source, given.ids)
for n, id in ipairs(given.ids) do
    local number = tonumber(here[n] or nil)
    if number and number > 0 then rows[#rows + 1] = {id, number} end
end
return {rows}
