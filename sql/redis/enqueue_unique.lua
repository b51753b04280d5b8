-- enqueue_unique: as enqueue, when some of the jobs have a unique key; for a key that an unfinished job holds
-- it answers with that job.
--
-- in:   jobs   as for enqueue, with unique_key
--       notify, first, now   as for enqueue
-- out:  ordinal, id of each job that was created; then unique_key, id of each key's holder
-- uses: lib/create
local keys = {}
for _, row in ipairs(given.jobs) do
    if row.unique_key then keys[#keys + 1] = row.unique_key end
end
local holders = {}
for n, holder in ipairs(fetch(root .. 'unique', keys)) do holders[keys[n]] = tonumber(holder) end

local rows, ordinals = {}, {}
for n, row in ipairs(given.jobs) do
    if not row.unique_key or not holders[row.unique_key] then
        rows[#rows + 1] = row
        ordinals[#ordinals + 1] = n
        if row.unique_key then holders[row.unique_key] = true end
    end
end
local first = given.first or #rows > 0 and call('INCRBY', root .. 'id', #rows) - #rows + 1
local ids, created, held = {}, {}, {}
for n, row in ipairs(rows) do
    ids[n] = first + n - 1
    created[n] = {ordinals[n], ids[n]}
    if row.unique_key then holders[row.unique_key] = ids[n] end
end
create(rows, ids, given.notify, clock(given))
for key, id in pairs(holders) do held[#held + 1] = {key, id} end
return {created, held}
