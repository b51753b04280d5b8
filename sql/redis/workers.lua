-- workers: the processes that are present.
--
-- in:   nothing
-- out:  one JSON document a worker: its record, and leads: whether it is the leader
-- uses: lib/worker
local now, leads, rows = clock(given), {}, {}
for _, packed in ipairs(call('HVALS', root .. 'leader')) do
    local worker, _, ends = unpack(cmsgpack.unpack(packed))
    if ends > now then leads[worker] = true end
end
local workers = read_workers()
for _, entry in ipairs(workers) do entry[3] = profile_of(entry[2]).started_at end
table.sort(workers, function(a, b) return a[3] < b[3] or a[3] == b[3] and a[1] < b[1] end)
for n, entry in ipairs(workers) do
    rows[n] = {worker_text(entry[1], entry[2], '"leads":' .. tostring(leads[entry[1]] or false))}
end
return {rows}
