-- combined_limits: combines what is declared for a queue with what was changed.
--
-- in:   queue
-- out:  a function; limits, as JSON text, or null
-- uses: lib/store
local function fields_in(at, queue)
    local said = call('HGET', root .. at, queue)
    return said and cjson.decode(said) or {}
end

local function is_same(one, other)
    if type(one) ~= 'table' or type(other) ~= 'table' then return one == other end
    return one[1] == other[1] and one[2] == other[2]
end

local function meant_of(queue)
    local meant = fields_in('declared', queue)
    for name, value in pairs(fields_in('changes', queue)) do meant[name] = value ~= null and value or nil end
    return meant
end

-- A lowest share is no limit: the plain claim goes on serving the queue.
local function settle_limits(queue)
    local meant = meant_of(queue)
    local all = next(meant) ~= nil and cjson.encode(meant)
    meant.lowest_share = nil
    if next(meant) == nil and call('EXISTS', root .. 'key_limits:' .. queue) == 0 then
        call('HDEL', root .. 'limits', queue)
        wake(queue)
        return all or null
    end
    local said = next(meant) == nil and '{}' or cjson.encode(meant)
    call('HSET', root .. 'limits', queue, said)
    wake(queue)
    return all or said
end
