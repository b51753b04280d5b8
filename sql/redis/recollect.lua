-- recollect: all jobs that the store holds for a worker; the worker checks that it knows each of them.
--
-- in:   worker
-- out:  id, lease
-- uses: lib/store, lib/job
local found = numbers(call('ZRANGE', root .. 'running:' .. text(given.worker), 0, -1, 'WITHSCORES'))
local rows = {}
for n = 1, #found, 2 do rows[#rows + 1] = {found[n], found[n + 1]} end
return {rows}
