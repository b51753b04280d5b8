-- unschedule: deletes schedules and the history of their instants; jobs that they have made stay.
--
-- in:   names list
-- out:  name of each that was there
-- uses: lib/schedule
-- full: goes on
local rows, MOST = {}, 2000
local rest, budget = {}, MOST
for _, name in ipairs(given.names) do
    local instants = budget > 0 and call('ZRANGE', root .. 'firings:' .. name, 0, budget - 1) or {}
    budget = budget - #instants - 1
    local keys = {}
    for n, instant in ipairs(instants) do keys[n] = instant .. ' ' .. name end
    many('HDEL', root .. 'firing:' .. name, instants)
    many('ZREM', root .. 'firings:' .. name, instants)
    many('ZREM', root .. 'fired_at', keys)
    if budget < 0 then
        rest[#rest + 1] = name
    else
        if call('HDEL', root .. 'schedule', name) == 1 then rows[#rows + 1] = {name} end
        call('ZREM', root .. 'schedule_due', name)
        call('ZREM', root .. 'schedule_names', name)
    end
end
return {rows}, #rest > 0 and {names = rest} or nil
