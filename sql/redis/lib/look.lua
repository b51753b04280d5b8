-- look: reads jobs to be filtered, live or finished, with their bodies.
--
-- in:   ids · names of sorted sets of ids
-- out:  functions
-- uses: lib/job
local function has_tag(body, wanted)
    for _, tag in ipairs(body[TAGS] or {}) do
        if tag == wanted then return true end
    end
    return false
end

-- {record, body, ended} of each, live or finished, in the order of the ids; false for one that is neither.
local function look_up(ids)
    local jobs, bodies, looked, missing, places = read(ids), fetch(root .. 'body', ids), {}, {}, {}
    for n, id in ipairs(ids) do
        looked[n] = jobs[n] and {jobs[n], cmsgpack.unpack(bodies[n]), false}
        if not jobs[n] then
            missing[#missing + 1] = id
            places[#places + 1] = n
        end
    end
    for n, ended in ipairs(read_ended(missing)) do
        looked[places[n]] = ended and {ended[ENDED_JOB], cmsgpack.unpack(ended[ENDED_BODY]), ended}
    end
    return looked
end

-- The ids in *sources* below *before*, or all of them, the newest first, *count* at most.
local function newest_ids(sources, before, count)
    local ids, from = {}, before and '(' .. text(before) or '+inf'
    for _, source in ipairs(sources) do
        for _, id in ipairs(call('ZREVRANGEBYSCORE', root .. source, from, '-inf', 'LIMIT', 0, count)) do
            ids[#ids + 1] = tonumber(id)
        end
    end
    table.sort(ids, function(one, other) return one > other end)
    for n = #ids, count + 1, -1 do ids[n] = nil end
    return ids
end
