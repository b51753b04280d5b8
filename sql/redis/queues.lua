-- queues: every queue that has waiting jobs, a worker, or a setting.
--
-- in:   nothing
-- out:  queue, paused_at, workers, waits: whether it has jobs that could be claimed
--       limits, declared, changes (JSON text), running: how many jobs count for the limits
-- uses: lib/worker, lib/place
local SAMPLE = 2000

-- Counts only lines that have jobs: a line stays listed after its jobs were cancelled.
local function waits_in(queue)
    local lines = {queue}
    for _, key in ipairs(call('ZRANGE', root .. 'keys:' .. queue, 0, SAMPLE - 1)) do
        lines[#lines + 1] = line_of(queue, key)
    end
    for _, line in ipairs(lines) do
        for _, priority in ipairs(call('ZRANGE', root .. 'priorities:' .. line, 0, -1)) do
            if call('EXISTS', order(line, tonumber(priority))) == 1 then return true end
        end
    end
    return false
end

local workers, names, rows = {}, {}, {}
for _, entry in ipairs(read_workers()) do
    for _, queue in ipairs(profile_of(entry[2]).queues) do workers[queue] = (workers[queue] or 0) + 1 end
end
local known = {}
for queue in pairs(workers) do known[queue] = true end
for _, queue in ipairs(call('SMEMBERS', root .. 'queues')) do
    if call('EXISTS', root .. 'priorities:' .. queue, root .. 'keys:' .. queue) > 0 then known[queue] = true end
end
for _, queue in ipairs(call('SMEMBERS', root .. 'settings')) do known[queue] = true end
for _, job in ipairs(read(numbers(call('ZRANGE', root .. 'live', 0, SAMPLE - 1)))) do known[job[QUEUE]] = true end
for queue in pairs(known) do names[#names + 1] = queue end
table.sort(names)
for n, paused in ipairs(fetch(root .. 'paused', names)) do
    local queue, said = names[n], {}
    for place, at in ipairs({'limits', 'declared', 'changes'}) do
        said[place] = call('HGET', root .. at, queue) or null
    end
    rows[n] = {queue, paused and tonumber(paused) or null, workers[queue] or 0, waits_in(queue), said[1], said[2], said[3],
               said[1] ~= null and call('SCARD', root .. 'permits:' .. queue) or null}
end
return {rows}
