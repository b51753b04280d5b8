-- count: live jobs by queue and state, without ever counting a large store to its end.
--
-- in:   limit  look at so many jobs at the most
--       after, looked, groups  how far earlier runs came
-- out:  queue, state, count, oldest_seconds: how long the first of them has been due · exact: false when the limit
--       was reached
-- uses: store, job
local CHUNK = 5000
local groups, looked = given.groups or {}, given.looked or 0
local ids = numbers(call('ZRANGEBYSCORE', root .. 'live', '(' .. text(given.after or 0), '+inf',
                         'LIMIT', 0, math.min(CHUNK, given.limit - looked)))
for _, job in ipairs(read(ids)) do
    local name = job[STATE] .. ' ' .. job[QUEUE]
    local group = groups[name] or {job[QUEUE], job[STATE], 0, job[RUN_AT]}
    group[3], group[4] = group[3] + 1, math.min(group[4], job[RUN_AT])
    groups[name] = group
end
looked = looked + #ids
if #ids == CHUNK and looked < given.limit then
    return {{}}, {after = ids[#ids], looked = looked, groups = groups}
end
local rows, now = {}, clock(given)
for _, group in pairs(groups) do
    rows[#rows + 1] = {group[1], group[2], group[3], (now - group[4]) / 1000000, looked < given.limit}
end
return {rows}
