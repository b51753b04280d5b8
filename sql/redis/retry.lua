-- retry: lets waiting jobs run now, and finished ones become available again, with one attempt more if they had none left;
-- their descendants that were cancelled because of them come back too.
--
-- in:   ids    list of job ids
--       workflow also all of its jobs that were discarded or cancelled
--       keep, now   as for complete
-- out:  id, state of each that was asked for: 'available', or 'blocked' (it waits for parents), 'running', 'held' (its
--       unique key now belongs to another job); a missing one never existed, or is past its retention; then nothing
-- uses: lib/settle
-- full: goes on
-- trap: a job that comes back waits for those of its parents that have not finished. A descendant with another failed
--       parent stays cancelled, now because of that parent; a job that was asked for itself comes back anyway. A
--       unique key that was taken meanwhile must not fail the others: the job that lost it stays finished, and so do its
--       descendants. Where several jobs have one key, the first takes it; if that one stays cancelled, the next one takes it
--       in another round.
if not is_settled(given) then return end
local now = clock(given)

local asked, known, rows = {}, {}, {}
for _, id in ipairs(given.ids) do asked[id] = true end
if given.workflow then
    local members = numbers(call('ZRANGE', root .. 'members:' .. text(given.workflow), 0, -1))
    for n, ended in ipairs(read_ended(members)) do
        if ended and ended[ENDED_JOB][STATE] ~= 'completed' then asked[members[n]] = true end
    end
end
for id in pairs(asked) do known[#known + 1] = id end
table.sort(known)

local function is_free(ended)
    local key = ended[ENDED_JOB][UNIQUE]
    return not key or call('HEXISTS', root .. 'unique', key) == 0
end

-- The jobs that may come back: those of *known* that have finished, and the descendants that were cancelled because of one.
local function reach()
    local candidates, line, reached = {}, {}, {}
    for n, ended in ipairs(read_ended(known)) do
        if not ended or is_free(ended) then
            candidates[known[n]] = ended or nil
            reached[known[n]] = true
            line[#line + 1] = known[n]
        end
    end
    local at = 0
    while at < #line do
        at = at + 1
        local children = numbers(call('ZRANGE', root .. 'children:' .. text(line[at]), 0, -1))
        for n, ended in ipairs(read_ended(children)) do
            if ended and ended[CAUSE] == line[at] and not reached[children[n]] and is_free(ended) then
                candidates[children[n]] = ended
                reached[children[n]] = true
                line[#line + 1] = children[n]
            end
        end
    end
    return candidates
end

-- Candidates that stay finished because another one takes their key; jobs that were asked for take keys first.
local function beaten(candidates, order)
    local held, taken = {}, {}
    for _, first in ipairs({true, false}) do
        for _, id in ipairs(order) do
            local key = candidates[id][ENDED_JOB][UNIQUE]
            if key and (asked[id] or false) == first then
                held[id] = taken[key]
                taken[key] = true
            end
        end
    end
    return held
end

-- Candidates that stay cancelled because another parent has failed and does not come back, and their descendants: {cause, its outcome}.
local function spoiled(candidates, edges, held)
    local hopeless, doubtful, below = {}, {}, {}
    local function give_up(id, cause, outcome)
        if not hopeless[id] then doubtful[#doubtful + 1] = id end
        if not hopeless[id] or cause < hopeless[id][1] then hopeless[id] = {cause, outcome} end
    end
    for id in pairs(candidates) do
        for parent, edge in pairs(edges[id]) do
            if not asked[id] and edge[1] == 'cancel' and edge[2] ~= 'completed' then
                below[parent] = below[parent] or {}
                table.insert(below[parent], id)
                local returns = candidates[parent] and not held[parent]
                if edge[2] and not returns and call('HEXISTS', root .. 'job', parent) == 0 then
                    give_up(id, parent, edge[2])
                end
            end
        end
    end
    local looked = 0
    while looked < #doubtful do
        looked = looked + 1
        for _, child in ipairs(below[doubtful[looked]] or {}) do give_up(child, doubtful[looked], 'cancelled') end
    end
    return hopeless
end

-- Revived descendants wait for their unfinished parents. Those that stay cancelled name another failed parent as their cause.
local function revive(hurried_ids, hurried)
    local candidates, order, edges = reach(), {}, {}
    for id, ended in pairs(candidates) do
        order[#order + 1] = id
        edges[id] = {}
        if ended[ENDED_JOB][PARENTS] then
            local fields = call('HGETALL', root .. 'parents:' .. text(id))
            for f = 1, #fields, 2 do edges[id][tonumber(fields[f])] = cmsgpack.unpack(fields[f + 1]) end
        end
    end
    table.sort(order)
    local held = beaten(candidates, order)
    local hopeless = spoiled(candidates, edges, held)

    local revived, back_ids, bodies = {}, {}, {}
    for _, id in ipairs(order) do
        if not held[id] and not hopeless[id] then
            local ended = candidates[id]
            local job = ended[ENDED_JOB]
            local state = job[STATE]
            call('UNLINK', root .. 'ended:' .. text(id))
            call('ZREM', root .. state, id)
            call('ZREM', root .. 'ended_at:' .. state, id)
            call('ZADD', root .. 'live', id, id)
            if job[UNIQUE] then call('HSET', root .. 'unique', job[UNIQUE], id) end
            job[LEASE], job[WORKER], job[CLAIMED_AT], job[REASON], job[RESCUES] = false, false, false, false, 0
            job[MAX_ATTEMPTS], job[RUN_AT], job[DUE_AT] = math.max(job[MAX_ATTEMPTS], job[ATTEMPT] + 1), now, false
            revived[id] = job
            back_ids[#back_ids + 1] = id
            bodies[#bodies + 1] = id
            bodies[#bodies + 1] = ended[ENDED_BODY]
        end
    end
    for id, job in pairs(revived) do
        local undecided, arguments = 0, {}
        for parent, edge in pairs(edges[id]) do
            if edge[2] and (revived[parent] or call('HEXISTS', root .. 'job', parent) == 1) then
                edge[2] = false
                arguments[#arguments + 1] = parent
                arguments[#arguments + 1] = cmsgpack.pack(edge)
            end
            if not edge[2] then undecided = undecided + 1 end
        end
        many('HSET', root .. 'parents:' .. text(id), arguments)
        job[BLOCKED_BY] = undecided
        job[STATE] = undecided > 0 and 'blocked' or 'available'
    end
    for id, blame in pairs(hopeless) do
        local ended = candidates[id]
        if revived[ended[CAUSE]] then
            ended[CAUSE] = blame[1]
            ended[ENDED_JOB][REASON] = 'parent ' .. text(blame[1]) .. ' was ' .. blame[2]
            ended[ENDED_JOB] = cmsgpack.pack(ended[ENDED_JOB])
            call('SET', root .. 'ended:' .. text(id), cmsgpack.pack(ended), 'KEEPTTL')
        end
    end

    for n, id in ipairs(hurried_ids) do
        revived[id] = hurried[n]
        back_ids[#back_ids + 1] = id
    end
    table.sort(back_ids)
    local back = {}
    for n, id in ipairs(back_ids) do
        back[n] = revived[id]
        known[#known + 1] = id
    end
    wake_all(enter(back_ids, back, now))
    write(back_ids, back)
    many('HSET', root .. 'body', bodies)
    return #back_ids > 0
end

local hurried, hurried_ids = {}, {}
for n, job in ipairs(read(known)) do
    if job and (job[STATE] == 'scheduled' or job[STATE] == 'retryable') then
        hurried[#hurried + 1], hurried_ids[#hurried_ids + 1] = job, known[n]
    end
end
leave(hurried_ids, hurried)
for _, job in ipairs(hurried) do job[STATE], job[RUN_AT] = 'available', now end
local again = revive(hurried_ids, hurried)
while again do again = revive({}, {}) end

local ids = {}
for id in pairs(asked) do ids[#ids + 1] = id end
local ended = read_ended(ids)
for n, job in ipairs(read(ids)) do
    if job or ended[n] then rows[#rows + 1] = {ids[n], job and job[STATE] or 'held'} end
end
return {rows, {}}
