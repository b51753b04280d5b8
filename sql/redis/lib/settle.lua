-- settle: tells the children of the jobs that have finished. Every way to finish ends here.
--
-- in:   the list `settling` of {parent, state, the last child that was settled, keep} · now
-- out:  functions; the queues with new work, as a set, '@' for what is due soon
-- uses: lib/archive
-- trap: an edge is decided once, and what several parents take off the count of one child is summed first. A graph may be
--       large: a script settles a limited number of children. The rest stays in the list, and whoever
--       changes a graph next goes on with it before anything else.
local BUDGET, WHOLE = 1000, 2 ^ 40

-- The next edges to decide, as {child = {{parent, state}, …}}, and the states in which cancelled children are kept.
local function next_edges(budget)
    local edges, keep = {}, nil
    while budget > 0 do
        local packed = call('LINDEX', root .. 'settling', 0)
        if not packed then break end
        local parent, state, after, kept = unpack(cmsgpack.unpack(packed))
        if keep and table.concat(keep) ~= table.concat(kept) then break end
        local at = root .. 'children:' .. text(parent)
        local children = numbers(call('ZRANGEBYSCORE', at, '(' .. text(after), '+inf', 'LIMIT', 0, text(budget)))
        for _, child in ipairs(children) do
            if not edges[child] then edges[child] = {} end
            table.insert(edges[child], {parent, state})
        end
        keep = kept
        if #children == budget then
            call('LSET', root .. 'settling', 0, cmsgpack.pack({parent, state, children[#children], kept}))
        else
            call('LPOP', root .. 'settling')
            local gone = call('HEXISTS', root .. 'job', parent) == 0
                and call('EXISTS', root .. 'ended:' .. text(parent)) == 0
            if gone then call('UNLINK', at) end
        end
        budget = budget - math.max(1, #children)
    end
    return edges, keep, budget
end

-- Decides the edges of one child: returns how many were open, and the first parent that makes it be cancelled.
local function decide(child, parents)
    local at, names, arguments = root .. 'parents:' .. text(child), {}, {}
    local decided, spoiled_by, spoiled_state = 0, nil, nil
    for n, parent in ipairs(parents) do names[n] = parent[1] end
    for n, packed in ipairs(fetch(at, names)) do
        local policy, outcome, name = unpack(packed and cmsgpack.unpack(packed) or {false, true})
        if not outcome then
            local parent, state = unpack(parents[n])
            decided = decided + 1
            arguments[#arguments + 1] = parent
            arguments[#arguments + 1] = cmsgpack.pack({policy, state, name})
            if state ~= 'completed' and policy == 'cancel' and (not spoiled_by or parent < spoiled_by) then
                spoiled_by, spoiled_state = parent, state
            end
        end
    end
    many('HSET', at, arguments)
    return decided, spoiled_by, spoiled_state
end

local function settle(now, expires, budget)
    local topics = {}
    budget = budget or BUDGET
    while budget > 0 do
        local edges, keep, left = next_edges(budget)
        if left == budget then break end
        budget = left
        local ids = {}
        for child in pairs(edges) do ids[#ids + 1] = child end
        table.sort(ids)
        local changed, changed_ids, freed, freed_ids, spoiled, spoiled_ids, endings = {}, {}, {}, {}, {}, {}, {}
        for n, job in ipairs(read(ids)) do
            local id = ids[n]
            local decided, by, state = decide(id, edges[id])
            if job and job[STATE] == 'blocked' and decided > 0 then
                if by then
                    spoiled[#spoiled + 1], spoiled_ids[#spoiled_ids + 1] = job, id
                    endings[#endings + 1] = {state = 'cancelled', cause = by,
                                             reason = 'parent ' .. text(by) .. ' was ' .. state}
                else
                    job[BLOCKED_BY] = job[BLOCKED_BY] - decided
                    changed[#changed + 1], changed_ids[#changed_ids + 1] = job, id
                    if job[BLOCKED_BY] == 0 then
                        freed[#freed + 1], freed_ids[#freed_ids + 1] = job, id
                    end
                end
            end
        end
        leave(freed_ids, freed)
        for _, job in ipairs(freed) do
            job[STATE] = job[RUN_AT] > now and 'scheduled' or 'available'
            job[RUN_AT] = math.max(job[RUN_AT], now)
        end
        for topic in pairs(enter(freed_ids, freed, now)) do topics[topic] = true end
        write(changed_ids, changed)
        finish(spoiled_ids, spoiled, endings, keep, now, expires)
    end
    wake_all(topics)
    return topics
end

-- Is nothing left over from an earlier call? Only then may the graph be read or changed.
local function is_settled(given)
    if call('EXISTS', root .. 'settling') == 0 then return true end
    settle(clock(given), not given.now, given.once and WHOLE)
    return call('EXISTS', root .. 'settling') == 0
end

local function names_of(topics)
    local names = {}
    for topic in pairs(topics) do names[#names + 1] = topic end
    return #names > 0 and names or null
end
