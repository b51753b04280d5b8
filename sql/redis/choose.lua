-- choose: the jobs that a filter matches, a portion at a time, in the order of their ids.
--
-- in:   states   list: only jobs in one of these
--       queue, task, tag, key, error  only these; error is the type of the last error · workflow
--       args     the text of a JSON object: the job's arguments contain these
--       older_seconds, newer_seconds  since the job ended; for one that has not ended, since it was enqueued
--       running_seconds  the job runs, and was claimed at least so long ago
--       newest   boolean: go downwards, from the newest
--       after    only ids above it · until only ids up to it; without it up to the newest id now
--       limit    return at most so many jobs · look read at most so many · looked  how many earlier runs have read
--       now
-- out:  id, state, lease, worker of each job; then a row without an id: null, null, the last id that was read,
--       or null when there are no more, until
-- uses: lib/filter
-- walks: the ids of live jobs and of those that ended in a wanted state, from one end
local CHUNK, MOST = 200, 1000
local is_meant, has_room = filter_of(given)
local sources = sources_of(given.states)

local after, until_, newest = given.after, given['until'], given.newest
if not until_ then
    until_ = 0
    for _, source in ipairs({'live', 'completed', 'cancelled', 'discarded'}) do
        until_ = math.max(until_, tonumber(call('ZREVRANGE', root .. source, 0, 0)[1] or 0))
    end
end

local function some_ids()
    local ids = {}
    local low, high = '(' .. text(after), text(until_)
    for _, source in ipairs(sources) do
        local found = newest and call('ZREVRANGEBYSCORE', root .. source, high, low, 'LIMIT', 0, CHUNK)
            or not newest and call('ZRANGEBYSCORE', root .. source, low, high, 'LIMIT', 0, CHUNK)
        for _, id in ipairs(found) do ids[#ids + 1] = tonumber(id) end
    end
    table.sort(ids, function(one, other)
        if newest then return one > other end
        return one < other
    end)
    for n = #ids, CHUNK + 1, -1 do ids[n] = nil end
    return ids
end

local rows, looked, came_to = {}, given.looked or 0, null
local most = math.min(given.look, looked + MOST)
while true do
    local ids = some_ids()
    if #ids == 0 then
        came_to = null
        break
    end
    for n, seen in ipairs(look_up(ids)) do
        if #rows < given.limit and looked < most and has_room() then
            looked, came_to = looked + 1, ids[n]
            if newest then until_ = came_to - 1 else after = came_to end
            if seen and is_meant(unpack(seen)) then
                local job = seen[1]
                local runs = job[STATE] == 'running'
                rows[#rows + 1] = {came_to, job[STATE], runs and job[LEASE] or null, runs and job[WORKER] or null}
            end
        end
    end
    if #rows >= given.limit or looked >= given.look then break end
    if looked >= most or not has_room() then
        return {rows}, {after = after, ['until'] = until_, looked = looked, limit = given.limit - #rows}
    end
end
rows[#rows + 1] = {null, null, came_to, until_}
return {rows}
