-- queues: every queue that has jobs waiting, a worker, or a setting.
--
-- in:   nothing
-- out:  queue, paused_at, workers
-- uses: worker, job
local SAMPLE = 2000
local workers, names, rows = {}, {}, {}
for _, entry in ipairs(read_workers()) do
    for _, queue in ipairs(profile_of(entry[2]).queues) do workers[queue] = (workers[queue] or 0) + 1 end
end
local known = {}
for queue in pairs(workers) do known[queue] = true end
for _, queue in ipairs(call('SMEMBERS', root .. 'queues')) do
    if call('EXISTS', root .. 'priorities:' .. queue) == 1 then known[queue] = true end
end
for _, queue in ipairs(call('SMEMBERS', root .. 'settings')) do known[queue] = true end
for _, job in ipairs(read(numbers(call('ZRANGE', root .. 'live', 0, SAMPLE - 1)))) do known[job[QUEUE]] = true end
for queue in pairs(known) do names[#names + 1] = queue end
table.sort(names)
for n, paused in ipairs(fetch(root .. 'paused', names)) do
    rows[n] = {names[n], paused and tonumber(paused) or null, workers[names[n]] or 0}
end
return {rows}
