-- prepare: what must be known before several operations are carried out as one: numbers for their jobs, who holds
-- the unique keys, whether leases hold.
--
-- in:   count  so many numbers are wanted
--       keys   list of unique keys · leases list of {id, lease}
-- out:  the first number; then key, id of each that is held; then id, lease of each that holds
-- uses: store, job
-- trap: a number that is taken and not used leaves a gap, no more.
local first = given.count > 0 and call('INCRBY', root .. 'id', given.count) - given.count + 1 or null
local held, holds, ids = {}, {}, {}
for n, holder in ipairs(fetch(root .. 'unique', given.keys)) do
    if holder then held[#held + 1] = {given.keys[n], tonumber(holder)} end
end
for n, row in ipairs(given.leases) do ids[n] = row[1] end
for n, job in ipairs(read(ids)) do
    if job and job[LEASE] == given.leases[n][2] then holds[#holds + 1] = given.leases[n] end
end
return {{{first}}, held, holds}
