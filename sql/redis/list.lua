-- list: jobs, the newest first, a page at a time.
--
-- in:   state, queue, task, tag, workflow  only these · before only ids below it · limit
-- out:  one JSON document a job
-- uses: lib/view
-- walks: the ids of live jobs and of those that ended in one way, from their ends
local CHUNK, MOST = 200, 1000
local ended_as = {completed = true, cancelled = true, discarded = true}
local sources = {'live', 'completed', 'cancelled', 'discarded'}
if given.workflow then
    sources = {'members:' .. text(given.workflow)}
elseif given.state then
    sources = {ended_as[given.state] and given.state or 'live'}
end

local function is_wanted(job, body)
    return (not given.state or job[STATE] == given.state) and (not given.queue or job[QUEUE] == given.queue)
        and (not given.task or body[TASK] == given.task) and (not given.tag or has_tag(body, given.tag))
        and (not given.workflow or job[WORKFLOW] == given.workflow)
end

local rows, before, looked = {}, given.before, 0
while #rows < given.limit do
    if looked >= MOST then return {rows}, {before = before, limit = given.limit - #rows} end
    local ids = newest_ids(sources, before, CHUNK)
    if #ids == 0 then break end
    for n, seen in ipairs(look_up(ids)) do
        if seen and #rows < given.limit and is_wanted(seen[1], seen[2]) then
            rows[#rows + 1] = {view(ids[n], unpack(seen))}
        end
    end
    looked, before = looked + #ids, ids[#ids]
end
return {rows}
