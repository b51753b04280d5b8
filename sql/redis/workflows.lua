-- workflows: the workflows, the newest first, with how many of their jobs are in which state.
--
-- in:   id, before  only this one · only ids below it, for the next page
--       name, tag · limit
--       look        count at most so many jobs of each
-- out:  one JSON document a workflow: id, name, tags, created_at, states
-- uses: lib/view
-- walks: their ids, from the end
local CHUNK = 100

local function is_wanted(name, tags)
    if given.name and name ~= given.name then return false end
    if not given.tag then return true end
    for _, tag in ipairs(tags or {}) do
        if tag == given.tag then return true end
    end
    return false
end

local function states_of(id)
    local members, states, parts = numbers(call('ZRANGE', root .. 'members:' .. text(id), 0, given.look - 1)), {}, {}
    local missing = {}
    for n, job in ipairs(read(members)) do
        if job then states[job[STATE]] = (states[job[STATE]] or 0) + 1 else missing[#missing + 1] = members[n] end
    end
    for _, ended in ipairs(read_ended(missing)) do
        local state = ended and ended[ENDED_JOB][STATE]
        if state then states[state] = (states[state] or 0) + 1 end
    end
    for state, count in pairs(states) do parts[#parts + 1] = '"' .. state .. '":' .. text(count) end
    return '{' .. table.concat(parts, ',') .. '}'
end

local rows, before = {}, given.before
while #rows < given.limit do
    local from = before and '(' .. text(before) or '+inf'
    local ids = given.id and {given.id}
        or numbers(call('ZREVRANGEBYSCORE', root .. 'workflows', from, '-inf', 'LIMIT', 0, CHUNK))
    if #ids == 0 then break end
    for n, packed in ipairs(fetch(root .. 'workflow', ids)) do
        local name, tags, created_at = unpack(packed and cmsgpack.unpack(packed) or {})
        if name and is_wanted(name, tags) and #rows < given.limit then
            rows[#rows + 1] = {joined({
                '"id":' .. text(ids[n]), '"name":' .. quoted(name), '"created_at":' .. moment(created_at),
                '"tags":' .. quoted(#tags > 0 and tags), '"states":' .. states_of(ids[n])})}
        end
    end
    if given.id then break end
    before = ids[#ids]
    -- Counting takes longest: one run counts the jobs of one page.
    if #rows < given.limit and #ids == CHUNK then return {rows}, {before = before, limit = given.limit - #rows} end
end
return {rows}
