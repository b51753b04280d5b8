-- restore: brings jobs of another store with their state and edges; each once, however often it is called.
--
-- in:   source    the other store's store_id
--       jobs      list of {id, state, task, queue, …, edges: list of {parent, policy, outcome, name}}, available ones in
--                 the order in which they are to be claimed; ids, cause and workflow are the source's ids
--       workflows list of {id, name, tags, created_at} of these jobs
--       keep, now as for complete
-- out:  id there, id here of each job that this call brought
-- uses: lib/settle
-- runs: link
-- trap: an id below zero belongs to a job that is not here yet: the outcome of an edge is kept under it. A parent
--       whose edge is not decided must be here already: else the edge would look stranded to the sweep. For a unique key
--       that is held here the holder counts, as in enqueue.
if not is_settled(given) then return end
local now = clock(given)
local copied = root .. 'copied:' .. given.source
local flows = root .. 'copied_workflows:' .. given.source

for _, flow in ipairs(given.workflows) do
    if call('HEXISTS', flows, flow.id) == 0 then
        local id = call('INCR', root .. 'id')
        call('HSET', flows, flow.id, id)
        call('HSET', root .. 'workflow', id, cmsgpack.pack({flow.name, flow.tags, flow.created_at}))
        call('ZADD', root .. 'workflows', id, id)
    end
end

-- New jobs get their ids here in the order of their ids there.
local by_number, parents = {}, {}
for _, row in ipairs(given.jobs) do by_number[#by_number + 1] = row end
table.sort(by_number, function(a, b) return a.id < b.id end)
for _, row in ipairs(by_number) do
    local known = tonumber(call('HGET', copied, row.id) or nil)
    if not known or known < 0 then
        row.number = known and -known or call('INCR', root .. 'id')
        if not row.finished_at and row.unique_key then
            local holder = tonumber(call('HGET', root .. 'unique', row.unique_key) or nil)
            for _, edge in ipairs(row.edges) do
                if holder and not edge.outcome and tonumber(call('HGET', copied, edge.parent) or nil) == holder
                    and call('HEXISTS', root .. 'unique_next', row.unique_key) == 0 then
                    holder = nil  -- it waits behind the job that holds the key
                end
            end
            if holder then row.number, row.held = holder, true end
        end
        call('HSET', copied, row.id, row.number)
        for _, edge in ipairs(row.edges) do
            if edge.outcome then parents[#parents + 1] = edge.parent end
        end
    end
end
table.sort(parents)
for _, parent in ipairs(parents) do
    if call('HEXISTS', copied, parent) == 0 then call('HSET', copied, parent, -call('INCR', root .. 'id')) end
end
local function here(id)
    local number = id and call('HGET', copied, id)
    return number and math.abs(tonumber(number)) or false
end

local rows, ids, jobs, bodies, live, links, elsewhere = {}, {}, {}, {}, {}, {}, {}
local families = {}
for _, row in ipairs(given.jobs) do
    if row.number and not row.held then
        local id, waits, edges = row.number, 0, {}
        rows[#rows + 1] = {row.id, id}
        for _, edge in ipairs(row.edges) do
            local parent = here(edge.parent)
            if parent and not edges[parent] then
                edges[parent] = edge
                if edge.outcome then
                    families[#families + 1] = parent
                    call('HSET', root .. 'parents:' .. text(id), parent,
                         cmsgpack.pack({edge.policy, edge.outcome, edge.name or false}))
                    call('ZADD', root .. 'children:' .. text(parent), id, id)
                else
                    waits = waits + 1
                    links[#links + 1] = {child = id, parent = parent, policy = edge.policy, name = edge.name}
                    elsewhere[#elsewhere + 1] = parent
                end
            end
        end
        local flow = row.workflow and tonumber(call('HGET', flows, row.workflow) or nil) or false
        if flow then call('ZADD', root .. 'members:' .. text(flow), id, id) end
        local job = {row.state, row.queue, row.priority, false, false,
                     false, row.attempt, row.max_attempts, row.rescues, row.run_at,
                     row.claimed_at or false, waits, false, row.reason or false, row.errors or false,
                     row.progress or false, flow, row.unique_key or false, next(edges) ~= nil, false, false, row.key or false}
        local body = cmsgpack.pack({row.task, row.args, row.timeout_seconds or false,
                                    row.metadata or false, row.tags or false, row.enqueued_at})
        if row.finished_at then
            local cause = here(row.cause)
            if cause and job[REASON] then
                local head = 'parent ' .. text(row.cause) .. ' '
                if job[REASON]:sub(1, #head) == head then
                    job[REASON] = 'parent ' .. text(cause) .. ' ' .. job[REASON]:sub(#head + 1)
                end
            end
            call('SET', root .. 'ended:' .. text(id),
                 cmsgpack.pack({cmsgpack.pack(job), body, row.finished_at, row.result or false, cause}))
            call('ZADD', root .. row.state, id, id)
            call('ZADD', root .. 'ended_at:' .. row.state, row.finished_at, id)
        else
            ids[#ids + 1], jobs[#jobs + 1] = id, job
            if row.keep == false then job[UNKEPT] = true end
            if row.expires_at then
                job[EXPIRES_AT] = row.expires_at
                call('ZADD', root .. 'expires', row.expires_at, id)
            end
            bodies[#bodies + 1], bodies[#bodies + 2] = id, body
            live[#live + 1], live[#live + 2] = id, id
            if row.begun then
                job[EXPIRES_AT], job[UNKEPT] = job[EXPIRES_AT] or false, job[UNKEPT] or false
                job[PERMIT] = call('INCR', root .. 'permit')
                call('ZADD', root .. 'holders:' .. line_of(row.queue, row.key), job[PERMIT], id)
            end
            job[CLAIMED_AT] = false
            job[DUE_AT] = row.due_at ~= row.run_at and row.due_at or false
            if row.unique_key then
                local is_held = call('HEXISTS', root .. 'unique', row.unique_key) == 1
                call('HSET', root .. (is_held and 'unique_next' or 'unique'), row.unique_key, id)
            end
        end
    end
end
wake_all(enter(ids, jobs, now))
write(ids, jobs)
many('HSET', root .. 'body', bodies)
many('ZADD', root .. 'live', live)

-- Notes in each parent that it has children: then it is kept for them.
local parent_ids, changed_ids, changed = {}, {}, {}
for _, parent in ipairs(families) do parent_ids[#parent_ids + 1] = parent end
local living, ended = read(parent_ids), read_ended(parent_ids)
for n, parent in ipairs(parent_ids) do
    if living[n] then
        living[n][CHILDREN] = true
        changed_ids[#changed_ids + 1], changed[#changed + 1] = parent, living[n]
    elseif ended[n] and not ended[n][ENDED_JOB][CHILDREN] then
        ended[n][ENDED_JOB][CHILDREN] = true
        ended[n][ENDED_JOB] = cmsgpack.pack(ended[n][ENDED_JOB])
        call('SET', root .. 'ended:' .. text(parent), cmsgpack.pack(ended[n]))
    end
end
write(changed_ids, changed)
if #links > 0 then
    link({edges = links, merged = {}, elsewhere = elsewhere, keep = given.keep, now = given.now, once = true})
end
return {rows}
