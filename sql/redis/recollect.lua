-- recollect: all that the store holds for a worker, who looks whether it knows of each.
--
-- in:   worker
-- out:  id, lease
-- uses: lib/store, lib/job
local found = numbers(call('ZRANGE', root .. 'running:' .. text(given.worker), 0, -1, 'WITHSCORES'))
local rows = {}
for n = 1, #found, 2 do rows[#rows + 1] = {found[n], found[n + 1]} end
return {rows}
