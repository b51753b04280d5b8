-- retry: waiting jobs run now, finished ones become available again with one attempt more if they had none left;
-- with a job come back the descendants that were cancelled because of it.
--
-- in:   ids    list of job ids
--       workflow all of its jobs too that were discarded or cancelled
--       keep, now   as for complete
-- out:  id, state of each that was asked for: 'available', or 'blocked' (it waits for parents), 'running', 'held' (its
--       unique key now belongs to another job); a missing one never was, or is past its retention; then nothing
-- uses: settle
-- trap: what comes back waits for whichever of its parents have not finished. A descendant with another parent that
--       failed stays cancelled, now because of that one; a job that was asked for itself comes back anyway. A
--       unique key that was taken meanwhile must not fail the others.
if not is_settled(given) then return end
local now = clock(given)

-- What was asked for, and the descendants that were cancelled because of it.
local asked, known, line = {}, {}, {}
local function ask(id)
    asked[id] = true
    if not known[id] then
        known[id] = true
        line[#line + 1] = id
    end
end
for _, id in ipairs(given.ids) do ask(id) end
if given.workflow then
    local members = numbers(call('ZRANGE', root .. 'members:' .. text(given.workflow), 0, -1))
    for n, ended in ipairs(read_ended(members)) do
        if ended and ended[ENDED_JOB][STATE] ~= 'completed' then ask(members[n]) end
    end
end
local reached = 0
while reached < #line do
    reached = reached + 1
    local children = numbers(call('ZRANGE', root .. 'children:' .. text(line[reached]), 0, -1))
    for n, ended in ipairs(read_ended(children)) do
        if ended and ended[CAUSE] == line[reached] and not known[children[n]] then
            known[children[n]] = true
            line[#line + 1] = children[n]
        end
    end
end
table.sort(line)
local live, found = read(line), read_ended(line)

-- Who may come back: not one whose key is taken, which those that were asked for take first.
local candidates, held, taken, edges = {}, {}, {}, {}
local function take(id, key)
    held[id] = key and (taken[key] or call('HEXISTS', root .. 'unique', key) == 1) or false
    if key then taken[key] = true end
end
for _, first in ipairs({true, false}) do
    for n, id in ipairs(line) do
        if found[n] and (asked[id] or false) == first then take(id, found[n][ENDED_JOB][UNIQUE]) end
    end
end
for n, id in ipairs(line) do
    if found[n] then
        candidates[id] = found[n]
        edges[id] = {}
        if found[n][ENDED_JOB][PARENTS] then
            local fields = call('HGETALL', root .. 'parents:' .. text(id))
            for f = 1, #fields, 2 do edges[id][tonumber(fields[f])] = cmsgpack.unpack(fields[f + 1]) end
        end
    end
end

-- Nor one whose other parents have failed, and will not come back; nor what is below it.
local hopeless, doubtful = {}, {}
local function give_up(id, cause, outcome)
    if not hopeless[id] then
        hopeless[id] = {cause, outcome}
        doubtful[#doubtful + 1] = id
    elseif cause < hopeless[id][1] then
        hopeless[id] = {cause, outcome}
    end
end
local below = {}
for id in pairs(candidates) do
    for parent, edge in pairs(edges[id]) do
        if not asked[id] and edge[1] == 'cancel' and edge[2] ~= 'completed' then
            below[parent] = below[parent] or {}
            table.insert(below[parent], id)
            local returns = candidates[parent] and not held[parent]
            if edge[2] and not returns
                and call('HEXISTS', root .. 'job', parent) == 0 then
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

-- They come back, and wait for the parents that have not finished.
local revived, order_of, bodies, records = {}, {}, {}, {}
for _, id in ipairs(line) do
    local ended = candidates[id]
    if ended and not held[id] and not hopeless[id] then
        local job = ended[ENDED_JOB]
        local state = job[STATE]
        call('UNLINK', root .. 'ended:' .. text(id))
        call('ZREM', root .. state, id)
        call('ZREM', root .. 'ended_at:' .. state, id)
        call('ZADD', root .. 'live', id, id)
        if job[UNIQUE] then call('HSET', root .. 'unique', job[UNIQUE], id) end
        job[LEASE], job[WORKER], job[CLAIMED_AT], job[REASON], job[RESCUES] = false, false, false, false, 0
        job[MAX_ATTEMPTS], job[RUN_AT] = math.max(job[MAX_ATTEMPTS], job[ATTEMPT] + 1), now
        revived[id] = job
        order_of[#order_of + 1] = id
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

-- Those that stay have another to blame now.
for id, blame in pairs(hopeless) do
    local ended = candidates[id]
    if revived[ended[CAUSE]] then
        ended[CAUSE] = blame[1]
        ended[ENDED_JOB][REASON] = 'parent ' .. text(blame[1]) .. ' was ' .. blame[2]
        ended[ENDED_JOB] = cmsgpack.pack(ended[ENDED_JOB])
        call('SET', root .. 'ended:' .. text(id), cmsgpack.pack(ended), 'KEEPTTL')
    end
end

local rows, hurried, hurried_ids = {}, {}, {}
for n, id in ipairs(line) do
    local job = live[n]
    if job and asked[id] then
        if job[STATE] == 'scheduled' or job[STATE] == 'retryable' then
            hurried[#hurried + 1], hurried_ids[#hurried_ids + 1] = job, id
        else
            rows[#rows + 1] = {id, job[STATE]}
        end
    elseif asked[id] and candidates[id] and not revived[id] then
        rows[#rows + 1] = {id, 'held'}
    end
end
leave(hurried_ids, hurried)
for n, job in ipairs(hurried) do
    job[STATE], job[RUN_AT] = 'available', now
    revived[hurried_ids[n]] = job
    order_of[#order_of + 1] = hurried_ids[n]
end
table.sort(order_of)
local back = {}
for n, id in ipairs(order_of) do back[n] = revived[id] end
wake_all(enter(order_of, back, now))
write(order_of, back)
many('HSET', root .. 'body', bodies)
for id, job in pairs(revived) do
    if asked[id] then rows[#rows + 1] = {id, job[STATE]} end
end
return {rows, {}}
