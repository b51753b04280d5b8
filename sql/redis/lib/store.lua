-- store: names of keys, the time, and waking sleepers.
--
-- in:   KEYS[1] the namespace in braces, the hash tag of all its keys · ARGV[2] what its channels begin with
-- out:  functions
-- trap: Lua writes a large number as 1e+15 by itself: text() in names, plain numbers only as arguments of
--       call(), which Redis writes in full. unpack() has room for some eight thousand values.
local call, null = redis.call, cjson.null
local root, channel = KEYS[1] .. ':', ARGV[2]
local SLICE = 4000

local function text(number) return string.format('%.0f', number) end

-- Microseconds since the epoch: whole numbers, exact as doubles for the next two centuries.
local function clock(given)
    if given.now then return given.now end
    local time = call('TIME')
    return time[1] * 1000000 + time[2]
end

local function micro(seconds) return math.floor(seconds * 1000000 + 0.5) end

-- Sends many arguments in slices of one command each. Pairs stay together, as SLICE is even.
local function many(command, at, arguments)
    for first = 1, #arguments, SLICE do
        call(command, at, unpack(arguments, first, math.min(first + SLICE - 1, #arguments)))
    end
end

-- The values of these fields in their order, false for one that is missing.
local function fetch(at, fields)
    if #fields <= SLICE then return #fields > 0 and call('HMGET', at, unpack(fields)) or {} end
    local values = {}
    for first = 1, #fields, SLICE do
        local slice = call('HMGET', at, unpack(fields, first, math.min(first + SLICE - 1, #fields)))
        for n = 1, #slice do values[first + n - 1] = slice[n] end
    end
    return values
end

-- For verbs that must go on although memory is full: after a write that takes no memory, Redis accepts the others.
local function even_if_full() call('UNLINK', root .. 'nothing') end

-- Publishes only if somebody has declared that it sleeps on this topic.
local function wake(topic)
    if call('EXISTS', root .. 'asleep:' .. topic) == 1 then call('PUBLISH', channel .. topic, topic) end
end

local function wake_all(topics)
    for topic in pairs(topics) do wake(topic) end
end

-- A session is subscribed to its worker's channel. The kernel closes a killed process's socket, and that ends
-- the subscription.
local function is_present(worker)
    return call('PUBSUB', 'NUMSUB', channel .. '!' .. text(worker))[2] > 0
end
