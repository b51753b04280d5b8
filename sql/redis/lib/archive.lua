-- archive: ends jobs: moves them from the live records to ended ones, which stay for the retention of their state.
--
-- in:   ids, their records as they are, and endings {state, reason, cause, result}, all in the same order · now
--       keep    list of the states whose jobs are kept
-- out:  functions; in `settling`, what their children still have to learn
-- uses: lib/place
-- trap: only a job without edges and workflow expires by itself, as nothing would be left behind. The others are
--       pruned. The first write frees memory: then Redis accepts the other writes although memory is full. A completed
--       job whose state is not kept is kept all the same while it has an unfinished child, which may want its result;
--       prune deletes it later.
local function forget(id, job)
    if job[WORKFLOW] then
        local members = root .. 'members:' .. text(job[WORKFLOW])
        call('ZREM', members, id)
        if call('EXISTS', members) == 0 then call('SADD', root .. 'emptied', job[WORKFLOW]) end
    end
    if job[PARENTS] then
        local edges = root .. 'parents:' .. text(id)
        for _, parent in ipairs(call('HKEYS', edges)) do call('ZREM', root .. 'children:' .. parent, id) end
        call('UNLINK', edges)
    end
end

-- Does the job have an unfinished child?
local function is_wanted(id)
    local at, first, some = root .. 'children:' .. text(id), 0, 100
    repeat
        local children = call('ZRANGE', at, first, first + some - 1)
        for _, live in ipairs(fetch(root .. 'job', children)) do
            if live then return true end
        end
        first = first + some
    until #children < some
    return false
end

-- Deletes all that is left of *job*. A job that is false has expired by itself: then its entries for its *state*.
local function erase(id, job, state)
    state = state or job[STATE]
    call('UNLINK', root .. 'ended:' .. text(id))
    call('ZREM', root .. 'ended_at:' .. state, id)
    call('ZREM', root .. state, id)
    if job then
        forget(id, job)
        if job[CHILDREN] then call('UNLINK', root .. 'children:' .. text(id)) end
    end
end

-- Frees unique keys whose holders have ended. A job that waited behind such a holder now has the key alone. `unique_next`
-- is read again for each key: both jobs of one key may end in this call.
local function let_go(keys, ids)
    local free = {}
    for n, second in ipairs(fetch(root .. 'unique_next', keys)) do
        second = second and call('HGET', root .. 'unique_next', keys[n])
        if not second then
            free[#free + 1] = keys[n]
        else
            call('HDEL', root .. 'unique_next', keys[n])
            if tonumber(second) ~= tonumber(ids[n]) then call('HSET', root .. 'unique', keys[n], second) end
        end
    end
    many('HDEL', root .. 'unique', free)
end

local function finish(ids, jobs, endings, keep, now, expires)
    if #ids == 0 then return end
    local bodies = fetch(root .. 'body', ids)
    leave(ids, jobs)
    many('HDEL', root .. 'job', ids)
    many('HDEL', root .. 'body', ids)
    many('ZREM', root .. 'live', ids)

    local is_kept, seconds, by_id, by_time, freed, freed_by = {}, {}, {}, {}, {}, {}
    for _, state in ipairs(keep) do is_kept[state] = true end
    for _, state in ipairs({'completed', 'cancelled', 'discarded'}) do
        by_id[state], by_time[state] = {}, {}
        seconds[state] = expires and tonumber(call('HGET', root .. 'retention', state) or nil)
    end
    local ended_at, awaited = root .. 'ended:', call('EXISTS', root .. 'asleep:#') == 1
    local held = call('EXISTS', root .. 'held') == 1
    for n, id in ipairs(ids) do
        local job, how = jobs[n], endings[n]
        local state, children = how.state, job[CHILDREN]
        job[STATE], job[BLOCKED_BY], job[CANCEL_REQUESTED] = state, 0, false
        job[REASON] = state ~= 'completed' and (how.reason or job[REASON])
        if job[UNIQUE] then freed[#freed + 1], freed_by[#freed_by + 1] = job[UNIQUE], id end
        if job[PERMIT] then
            call('ZREM', root .. 'holders:' .. line_of(job[QUEUE], job[KEY]), id)
            job[PERMIT] = nil
            wake(job[QUEUE])
        end
        if job[EXPIRES_AT] then
            call('ZREM', root .. 'expires', id)
            job[EXPIRES_AT] = nil
        end
        local is_unkept = state == 'completed' and job[UNKEPT]
        job[UNKEPT] = nil
        if is_kept[state] and not is_unkept or state == 'completed' and children and is_wanted(id) then
            local at = ended_at .. text(id)
            local ended = cmsgpack.pack({cmsgpack.pack(job), bodies[n], now, how.result or false, how.cause or false})
            if seconds[state] and not (children or job[PARENTS] or job[WORKFLOW]) then
                call('SET', at, ended, 'PX', math.max(1, math.floor(seconds[state] * 1000)))
            else
                call('SET', at, ended)
            end
            local ordered, timed = by_id[state], by_time[state]
            ordered[#ordered + 1], timed[#timed + 1] = id, now
            ordered[#ordered + 1], timed[#timed + 1] = id, id
        else
            forget(id, job)
        end
        if children then call('RPUSH', root .. 'settling', cmsgpack.pack({id, state, 0, keep})) end
        if held then call('SET', root .. 'held:' .. text(id), state, 'XX', 'EX', HELD_SECONDS) end
        if awaited then wake('#' .. text(id)) end
    end
    for state in pairs(by_id) do
        many('ZADD', root .. state, by_id[state])
        many('ZADD', root .. 'ended_at:' .. state, by_time[state])
    end
    let_go(freed, freed_by)
end
