-- browse: a page of the jobs that a filter matches, in brief, in one of three orders.
--
-- in:   order    newest: by id, downwards · due: scheduled and retryable ones by run_at · next: of one queue, as claimed
--       states, queue, task, tag, key, error, workflow, args, older_seconds, newer_seconds, running_seconds  as for choose
--       after, after_priority, after_at  where the page before ended: its last job's id or position, priority, run_at
--       limit    return at most so many jobs · look read at most so many · looked  how many earlier runs have read
--       trace    the last so many characters of the last traceback, without the error's text
--       now
-- out:  a JSON document for each job; then a row without one: null, how many were read, and the place of the last
--       of them, or null when there are no more
-- uses: lib/filter, lib/place, lib/view
-- walks: the ids of live jobs and of those that ended in a wanted state; what is due; or the lines of a queue
-- trap: jobs that are due in the same microsecond come in the order of their ids as texts, as Redis sorts them.
local CHUNK, MOST, KEYS_SEEN, CHARS = 200, 1000, 20, 200
local is_meant, has_room = filter_of(given)
local sources = sources_of(given.states)
local rows, looked = {}, given.looked or 0
local after, after_priority, after_at = given.after, given.after_priority or 0, given.after_at

-- The first characters of *value*, never half of one.
local function cut(value)
    local count, at = 0, 1
    while at <= #value and count < CHARS do
        local byte = value:byte(at)
        at = at + (byte < 0x80 and 1 or byte < 0xE0 and 2 or byte < 0xF0 and 3 or 4)
        count = count + 1
    end
    return value:sub(1, at - 1)
end

local function length_of(value) return #value:gsub('[\128-\191]', '') end

-- The last *count* characters of *value* without the last *less* ones.
local function ending(value, less, count)
    local function back(from, steps)
        while steps > 0 and from > 0 do
            local byte = value:byte(from)
            if byte < 0x80 or byte >= 0xC0 then steps = steps - 1 end
            from = from - 1
        end
        return from
    end
    local last = back(#value, less)
    return value:sub(back(last, count) + 1, last)
end

local function brief(id, job, body, ended)
    local errors = job[ERRORS]
    local last = errors and #errors > 0 and cjson.decode(errors[#errors]) or nil
    job[ERRORS] = false
    local more = {inside(view(id, job, body, ended, true)), '"args":' .. cjson.encode(cut(body[ARGS]))}
    if last then
        more[#more + 1] = '"error_type":' .. cjson.encode(last.type or null)
        more[#more + 1] = '"error_message":' .. cjson.encode(cut(last.message or ''))
        more[#more + 1] = '"error_at":' .. cjson.encode(last.at or null)
        if given.trace and type(last.traceback) == 'string' then
            local trace = ending(last.traceback, length_of(last.message or ''), given.trace)
            more[#more + 1] = '"error_trace":' .. cjson.encode(trace)
        end
    end
    return joined(more)
end

-- Looks at one more job, {record, body, ended} or false; the next page begins after its *place*.
local function take(id, seen, place)
    looked = looked + 1
    after, after_priority, after_at = place[1], place[2], place[3]
    if seen and is_meant(unpack(seen)) then rows[#rows + 1] = {brief(id, unpack(seen))} end
end

local function is_full() return #rows >= given.limit or looked >= given.look end

-- Skips what is due in the same microsecond as the last job of the page before, and was seen already.
local function due_ids()
    local ids, from, skip = {}, after_at and text(after_at) or '-inf', 0
    while #ids == 0 do
        local found = call('ZRANGEBYSCORE', root .. 'due', from, '+inf', 'WITHSCORES', 'LIMIT', skip, CHUNK)
        for n = 1, #found, 2 do
            if not after_at or tonumber(found[n + 1]) > after_at or found[n] > text(after) then
                ids[#ids + 1] = tonumber(found[n])
            end
        end
        if #found < 2 * CHUNK then break end
        skip = skip + CHUNK
    end
    return ids
end

local function line_ids()
    local keys, found = given.key and {given.key} or {false}, {}
    if not given.key then
        for _, key in ipairs(call('ZRANGE', root .. 'keys:' .. given.queue, 0, KEYS_SEEN - 2)) do keys[#keys + 1] = key end
    end
    for _, key in ipairs(keys) do
        local line = line_of(given.queue, key)
        for _, name in ipairs(call('ZRANGE', root .. 'priorities:' .. line, 0, -1)) do
            local priority = tonumber(name)
            local from = after and priority == after_priority and '(' .. text(after) or '-inf'
            if not after or priority >= after_priority then
                for _, id in ipairs(call('ZRANGEBYSCORE', order(line, priority), from, '+inf', 'LIMIT', 0, given.limit)) do
                    found[#found + 1] = tonumber(id)
                end
            end
        end
    end
    return found
end

local function place_of(id, job)
    if given.order == 'due' then return {id, 0, job[RUN_AT]} end
    if given.order == 'next' then return {job[POSITION], job[PRIORITY], false} end
    return {id, 0, false}
end

local most, is_more = math.min(given.look, looked + MOST), true
if given.order == 'next' then
    local ids, ranked = line_ids(), {}
    for n, seen in ipairs(look_up(ids)) do
        if seen then ranked[#ranked + 1] = {ids[n], seen} end
    end
    table.sort(ranked, function(one, other)
        local a, b = one[2][1], other[2][1]
        if a[PRIORITY] ~= b[PRIORITY] then return a[PRIORITY] < b[PRIORITY] end
        return a[POSITION] < b[POSITION]
    end)
    for _, one in ipairs(ranked) do
        if is_full() then break end
        take(one[1], one[2], place_of(one[1], one[2][1]))
    end
    is_more = #rows >= given.limit
else
    while not is_full() do
        local ids = given.order == 'due' and due_ids() or newest_ids(sources, after, CHUNK)
        if #ids == 0 then
            is_more = false
            break
        end
        for n, seen in ipairs(look_up(ids)) do
            if not is_full() and looked < most and has_room() then
                take(ids[n], seen, seen and place_of(ids[n], seen[1]) or {ids[n], 0, after_at})
            end
        end
        if not is_full() and (looked >= most or not has_room()) then
            return {rows}, {after = after, after_at = after_at or nil, looked = looked, limit = given.limit - #rows}
        end
    end
end
local at = is_more and after_at and text(after_at) or null
rows[#rows + 1] = {null, looked, is_more and after or null, after_priority, at}
return {rows}
