-- home: what this store is called, and whose environment it is.
--
-- in:   nothing
-- out:  functions
-- uses: lib/store
-- trap: nothing about a Redis outlives its restart and tells one from its copy: the environment alone does.
local function fresh_name()
    local time = call('TIME')
    return 'redis ' .. KEYS[1] .. ' ' .. text(time[1] * 1000000 + time[2])
end

local function name_of_store()
    call('SET', root .. 'origin', fresh_name(), 'NX')
    return call('GET', root .. 'origin')
end
