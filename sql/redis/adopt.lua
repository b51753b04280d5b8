-- adopt: the store accepts its present environment, and gets a new identity, unlike that of its original.
--
-- in:   environment text, or nothing: workers must name it first · paused boolean: also pause every queue · now
-- out:  name of each queue that is paused; then text: the store's new identity
-- uses: lib/worker, lib/job, lib/home
-- walks: all live jobs, once, if *paused*
-- full: goes on
local SLICE_OF_JOBS = 2000
local names, known = {}, {}
if given.paused then
    for _, entry in ipairs(read_workers()) do
        for _, queue in ipairs(profile_of(entry[2]).queues) do known[queue] = true end
    end
    for _, queue in ipairs(call('SMEMBERS', root .. 'queues')) do known[queue] = true end
    for _, queue in ipairs(call('SMEMBERS', root .. 'settings')) do known[queue] = true end
    for first = 0, call('ZCARD', root .. 'live') - 1, SLICE_OF_JOBS do
        for _, job in ipairs(read(numbers(call('ZRANGE', root .. 'live', first, first + SLICE_OF_JOBS - 1)))) do
            known[job[QUEUE]] = true
        end
    end
    for queue in pairs(known) do
        names[#names + 1] = {queue}
        call('HSETNX', root .. 'paused', queue, clock(given))
        call('SADD', root .. 'settings', queue)
    end
    table.sort(names, function(one, other) return one[1] < other[1] end)
end
call('SET', root .. 'origin', fresh_name())
call('HSET', root .. 'home', 'noted', '1')
call('HDEL', root .. 'home', 'environment')
if given.environment then call('HSET', root .. 'home', 'environment', given.environment) end
return {names, {{call('GET', root .. 'origin')}}}
