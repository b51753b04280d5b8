-- enqueue_once: as enqueue_unique, for keys that hold until a job starts or for a time, and for jobs that replace a waiting one.
--
-- in:   jobs   as for enqueue_unique, with until ('started'), until_seconds, conflict ('replace'), merged: names of
--              arguments that are lists, kept: names of what stays as it is, at_most_seconds after it was enqueued
--       notify, first, now   as for enqueue
--       look   only say what would happen; ended: list of jobs that will have ended by then, ours: {key: list of jobs}
--              that will have been created, recents: {key: job}; then after the rows all of these as one text
-- out:  ordinal, id, outcome, behind: one row a job. 'created'; 'next': a job that waits for the running job *behind*;
--       its blocked_by counts that job, and the caller must make the edge; for an existing job 'existing', 'replaced', or
--       'too large', then it is unchanged
-- uses: lib/create, lib/merge
-- trap: nothing is written before everything is decided. In a transaction a job that is too large is refused in the *look*
--       run, and not checked again when the transaction commits.
local LIMIT = 1024 * 1024
local now = clock(given)
local gone, ours = {}, given.look and given.ours or {}
for _, id in ipairs(given.look and given.ended or {}) do gone[id] = true end

local holders_of, recents, args_of = {}, {}, {}

-- The unfinished jobs of a key, the first one first: {id, runs}. A job that this call creates gets its id later.
local function holders(key)
    local found = holders_of[key]
    if not found then
        found = {}
        local ids = {}
        for _, at in ipairs({'unique', 'unique_next'}) do
            local id = tonumber(call('HGET', root .. at, key) or nil)
            if id and not gone[id] then ids[#ids + 1] = id end
        end
        for n, job in ipairs(read(ids)) do
            if job then found[#found + 1] = {id = ids[n], runs = job[STATE] == 'running'} end
        end
        for _, id in ipairs(ours[key] or {}) do
            if not gone[id] then found[#found + 1] = {id = id, unknown = true} end
        end
        holders_of[key] = found
    end
    return found
end

local function recent(key)
    if recents[key] == nil then
        local until_then = tonumber(call('ZSCORE', root .. 'recent_until', key) or nil)
        local id = until_then and until_then > now and tonumber(call('HGET', root .. 'recent', key) or nil)
        local own = given.look and given.recents[key]
        recents[key] = own and {id = own} or id and {id = id} or false
    end
    return recents[key]
end

-- What the holder's arguments will be.
local function merged(holder, row)
    if not row.merged or holder.unknown then return row.args or '{}' end
    local older = args_of[holder] or read_body(holder.id)[ARGS]
    return merge(older, row.args or '{}', row.merged)
end

local said, created = {}, {}
for n, row in ipairs(given.jobs) do
    local key, one = row.unique_key, {outcome = 'created', row = row, made = {}}
    if key and row.until_seconds then
        local holder = recent(key)
        if holder then one.outcome, one.made = 'existing', holder else recents[key] = one.made end
    elseif key then
        local there = holders(key)
        local newest
        for _, holder in ipairs(there) do
            if not holder.runs then newest = holder end
        end
        if row['until'] ~= 'started' or #there > 1 and not newest then
            newest = there[1]
        elseif there[1] and not newest then
            one.outcome, one.behind = 'next', there[1]
        end
        if newest then
            one.outcome, one.made = 'existing', newest
            if row['until'] == 'started' and row.conflict == 'replace' then
                one.args = merged(newest, row)
                local is_large = row.merged and #one.args > LIMIT and (given.look or not given.first)
                one.outcome = is_large and 'too large' or 'replaced'
                if not is_large then args_of[newest] = one.args end
            end
        else
            there[#there + 1] = one.made
            args_of[one.made] = row.args or '{}'
        end
    end
    if one.outcome == 'created' or one.outcome == 'next' then created[#created + 1] = one end
    said[n] = one
end

local first = given.first or #created > 0 and call('INCRBY', root .. 'id', #created) - #created + 1
for n, one in ipairs(created) do one.made.id = first + n - 1 end
local rows, texts = {}, {}
for n, one in ipairs(said) do
    local behind = one.behind and one.behind.id or null
    rows[n] = {n, one.made.id, one.outcome, behind}
    texts[n] = text(one.made.id) .. one.outcome .. (one.behind and text(one.behind.id) or '')
end
if given.look then return {rows, {{table.concat(texts, ' ')}}} end

local function make(ones)
    local new, ids = {}, {}
    for n, one in ipairs(ones) do
        local row = one.row
        ids[n], new[n] = one.made.id, row
        if row.until_seconds then
            call('HSET', root .. 'recent', row.unique_key, one.made.id)
            call('ZADD', root .. 'recent_until', now + micro(row.until_seconds), row.unique_key)
            row.unique_key = nil
        elseif one.behind then
            row.is_next, row.blocked_by = true, (row.blocked_by or 0) + 1
        end
    end
    if #ones > 0 then create(new, ids, given.notify, now) end
end

local function replace(id, row, args)
    local job, body, kept = read({id})[1], read_body(id), {}
    for _, name in ipairs(row.kept or {}) do kept[name] = true end
    leave({id}, {job})
    local queue, key, due = job[QUEUE], job[KEY], job[RUN_AT]
    if not kept.run_at then
        due = row.run_at or now + micro(row.delay_seconds or 0)
        if row.at_most_seconds then due = math.min(due, body[ENQUEUED_AT] + micro(row.at_most_seconds)) end
    end
    if not kept.queue then queue = row.queue or 'default' end
    if not kept.key then key = row.key or false end
    if job[PERMIT] and (queue ~= job[QUEUE] or key ~= (job[KEY] or false)) then
        call('ZREM', root .. 'holders:' .. line_of(job[QUEUE], job[KEY]), id)
        job[PERMIT] = nil
    end
    job[STATE] = job[BLOCKED_BY] > 0 and 'blocked' or due > now and 'scheduled' or 'available'
    for _, field in ipairs({DUE_AT, KEY, EXPIRES_AT, UNKEPT}) do job[field] = job[field] or false end
    job[QUEUE], job[KEY], job[RUN_AT], job[DUE_AT], job[ATTEMPT], job[RESCUES] = queue, key, due, false, 0, 0
    job[REASON], job[PROGRESS], job[POSITION], job[UNKEPT] = false, false, false, row.keep == false
    if not kept.priority then job[PRIORITY] = row.priority or 0 end
    if not kept.max_attempts then job[MAX_ATTEMPTS] = row.max_attempts or 10 end
    if not kept.args then body[TASK], body[ARGS] = row.task, args end
    if not kept.timeout then body[TIMEOUT] = row.timeout_seconds or false end
    if not kept.metadata then body[METADATA] = row.metadata or false end
    if not kept.tags then body[TAGS] = row.tags or false end
    if not kept.expires then
        job[EXPIRES_AT] = row.expires_at or row.expires_seconds and due + micro(row.expires_seconds) or false
        call('ZREM', root .. 'expires', id)
        if job[EXPIRES_AT] then call('ZADD', root .. 'expires', job[EXPIRES_AT], id) end
    end
    local topics = enter({id}, {job}, now)
    write({id}, {job})
    call('HSET', root .. 'body', id, cmsgpack.pack(body))
    if given.notify then wake_all(topics) end
end

-- Positions ascend as the rows do, also those of jobs that are replaced.
local unmade = {}
for _, one in ipairs(said) do
    if one.outcome == 'replaced' then
        make(unmade)
        unmade = {}
        replace(one.made.id, one.row, one.args)
    elseif one.outcome == 'created' or one.outcome == 'next' then
        unmade[#unmade + 1] = one
    end
end
make(unmade)
return {rows}
