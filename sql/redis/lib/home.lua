-- home: the store's identity, and its environment.
--
-- in:   nothing
-- out:  functions
-- uses: lib/store
-- trap: only the environment tells a Redis from its copy: everything else that differs is lost at a restart.
local function fresh_name()
    local time = call('TIME')
    return 'redis ' .. KEYS[1] .. ' ' .. text(time[1] * 1000000 + time[2])
end

local function name_of_store()
    call('SET', root .. 'origin', fresh_name(), 'NX')
    return call('GET', root .. 'origin')
end
