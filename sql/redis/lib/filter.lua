-- filter: which jobs a filter matches.
--
-- in:   given: states  list: only jobs in one of these · queue, task, tag, key, error, workflow, args, older_seconds,
--       newer_seconds, running_seconds, now  as choose is given them
-- out:  functions: whether a job matches, and whether there is room to look at more; where the ids are
-- uses: lib/look
-- trap: arguments and errors are decoded only when a filter asks for them: they may be large, so a
--       script looks at no more than a million bytes of them.
local function filter_of(given)
    local BYTES = 1000000
    local now, read_bytes, wanted = clock(given), 0, {}
    for _, state in ipairs(given.states) do wanted[state] = true end
    local args = given.args and cjson.decode(given.args)
    local oldest = given.newer_seconds and now - micro(given.newer_seconds)
    local youngest = given.older_seconds and now - micro(given.older_seconds)
    local claimed = given.running_seconds and now - micro(given.running_seconds)

    local function contains(whole, part)
        if type(part) ~= 'table' then return whole == part end
        if type(whole) ~= 'table' then return false end
        for name, value in pairs(part) do
            if not contains(whole[name], value) then return false end
        end
        return true
    end

    local function decoded(json)
        read_bytes = read_bytes + #json
        return cjson.decode(json)
    end

    local function failed_with(job)
        local errors = job[ERRORS]
        return errors and #errors > 0 and decoded(errors[#errors]).type == given.error
    end

    local function is_meant(job, body, ended)
        local since = ended and ended[FINISHED_AT] or body[ENQUEUED_AT]
        return wanted[job[STATE]] and (not given.queue or job[QUEUE] == given.queue)
            and (not given.key or job[KEY] == given.key)
            and (not given.workflow or job[WORKFLOW] == given.workflow)
            and (not youngest or since <= youngest) and (not oldest or since > oldest)
            and (not claimed or job[STATE] == 'running' and job[CLAIMED_AT] <= claimed)
            and (not given.task or body[TASK] == given.task) and (not given.tag or has_tag(body, given.tag))
            and (not given.error or failed_with(job))
            and (not args or contains(decoded(body[ARGS]), args))
    end

    local function has_room() return read_bytes < BYTES end
    return is_meant, has_room
end

-- The names of the sorted sets that have the ids of jobs in *states*.
local function sources_of(states)
    local ended_as = {completed = true, cancelled = true, discarded = true}
    local sources, lives = {}, false
    for _, state in ipairs(states) do
        if ended_as[state] then sources[#sources + 1] = state else lives = true end
    end
    if lives then sources[#sources + 1] = 'live' end
    return sources
end
