-- archive: jobs end: from the live records to what is kept of them, for the time of their state's retention.
--
-- in:   endings {id = {state, reason, cause, result}} · jobs {id = record}, as they are · now
--       keep    list of the states whose jobs are kept
-- out:  functions; in `settling`, what their children have still to be told
-- uses: place
-- trap: what expires by itself has nothing that would be left behind: no edges, no workflow. The others are
--       pruned. The first write frees memory: then Redis lets the others pass although memory is full. A
--       job that is not to be kept is kept all the same if it completed and has children: they may want its
--       result. Prune knows when not.
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

local function finish(endings, jobs, keep, now, expires)
    local ids, ending, kept_states = {}, {}, {}
    for id in pairs(endings) do
        ids[#ids + 1] = id
        ending[id] = jobs[id]
    end
    if #ids == 0 then return end
    table.sort(ids)
    for _, state in ipairs(keep) do kept_states[state] = true end

    local bodies = fetch(root .. 'body', ids)
    leave(ending)
    many('HDEL', root .. 'job', ids)
    many('HDEL', root .. 'body', ids)
    many('ZREM', root .. 'live', ids)

    local by_id, by_time, seconds, freed = {}, {}, {}, {}
    local awaited = call('EXISTS', root .. 'asleep:#') == 1
    for n, id in ipairs(ids) do
        local job, how = jobs[id], endings[id]
        local state = how.state
        job[STATE], job[BLOCKED_BY], job[CANCEL_REQUESTED] = state, 0, false
        job[REASON] = state ~= 'completed' and (how.reason or job[REASON])
        if job[UNIQUE] then freed[#freed + 1] = job[UNIQUE] end
        if kept_states[state] or state == 'completed' and job[CHILDREN] then
            local ended = cmsgpack.pack({cmsgpack.pack(job), bodies[n], now, how.result or false, how.cause or false})
            local at = root .. 'ended:' .. text(id)
            if expires and not (job[CHILDREN] or job[PARENTS] or job[WORKFLOW]) and not seconds[state] then
                seconds[state] = call('HGET', root .. 'retention', state) or 'unknown'
            end
            local expiry = seconds[state] and tonumber(seconds[state])
            if expiry and not (job[CHILDREN] or job[PARENTS] or job[WORKFLOW]) then
                call('SET', at, ended, 'PX', math.max(1, math.floor(expiry * 1000)))
            else
                call('SET', at, ended)
            end
            collect(by_id, root .. state, id, id)
            collect(by_time, root .. 'ended_at:' .. state, now, id)
        else
            forget(id, job)
        end
        if job[CHILDREN] then call('RPUSH', root .. 'settling', cmsgpack.pack({id, state, 0, keep})) end
        if awaited then wake('#' .. text(id)) end
    end
    for at, arguments in pairs(by_id) do many('ZADD', at, arguments) end
    for at, arguments in pairs(by_time) do many('ZADD', at, arguments) end
    many('HDEL', root .. 'unique', freed)
end
