-- prepare: what must be known before several operations are carried out as one: ids for their jobs, who holds
-- the unique keys, whether leases hold.
--
-- in:   count  how many ids to draw
--       keys   list of unique keys · leases list of {id, lease} · ids list of jobs
-- out:  the first id; then key, id of each that is held; then id, lease of each that holds; then id, state of each job
--       that has not ended
-- uses: lib/store, lib/job
-- trap: an id that is drawn and not used leaves a gap, which does no harm.
local first = given.count > 0 and call('INCRBY', root .. 'id', given.count) - given.count + 1 or null
local held, holds, ids, states = {}, {}, {}, {}
for n, holder in ipairs(fetch(root .. 'unique', given.keys)) do
    if holder then held[#held + 1] = {given.keys[n], tonumber(holder)} end
end
for n, row in ipairs(given.leases) do ids[n] = row[1] end
for n, job in ipairs(read(ids)) do
    if job and job[LEASE] == given.leases[n][2] then holds[#holds + 1] = given.leases[n] end
end
for n, job in ipairs(read(given.ids)) do
    if job then states[#states + 1] = {given.ids[n], job[STATE]} end
end
return {{{first}}, held, holds, states}
