-- workers: the processes that are present.
--
-- in:   nothing
-- out:  one JSON document a worker: its record, and leads: it is the leader
-- uses: worker
local now, leads, rows = clock(given), {}, {}
for _, packed in ipairs(call('HVALS', root .. 'leader')) do
    local worker, _, ends = unpack(cmsgpack.unpack(packed))
    if ends > now then leads[worker] = true end
end
for n, entry in ipairs(read_workers()) do
    rows[n] = {worker_text(entry[1], entry[2], '"leads":' .. tostring(leads[entry[1]] or false))}
end
return {rows}
