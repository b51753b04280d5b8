-- sweep: finds, counts and repairs what should not exist: blocked jobs whose parents have all finished, and
-- running jobs whose worker is unknown.
--
-- in:   limit · keep, now   as for complete
-- out:  stranded, orphaned: how many of each
-- uses: lib/settle, lib/worker
-- full: goes on
-- trap: orphans come from a worker that was taken for dead and claimed once more before it died. A claim in the
--       future counts as old: the clock was ahead.
local SECOND, MINUTE = 1000000, 60 * 1000000
if not is_settled(given) then return end
local now = clock(given)
local found = {}
for _, member in ipairs(call('SMEMBERS', root .. 'runners')) do
    local at = root .. 'running:' .. member
    if call('EXISTS', at) == 0 then
        call('SREM', root .. 'runners', member)
    elseif not read_worker(tonumber(member)) and #found < given.limit then
        local ids = numbers(call('ZRANGE', at, 0, given.limit - #found - 1))
        for n, job in ipairs(read(ids)) do
            local ago = now - job[CLAIMED_AT]
            if ago > MINUTE or ago < -SECOND then found[#found + 1] = {ids[n], job} end
        end
    end
end
table.sort(found, function(one, other) return one[1] < other[1] end)
local orphans, orphaned = {}, {}
for n, pair in ipairs(found) do orphaned[n], orphans[n] = pair[1], pair[2] end
leave(orphaned, orphans)
for _, job in ipairs(orphans) do
    job[STATE], job[LEASE] = 'available', false
    job[ATTEMPT], job[RESCUES] = job[ATTEMPT] - 1, job[RESCUES] + 1
end
wake_all(enter(orphaned, orphans, now))
write(orphaned, orphans)

local undecided, parents = {}, {}
for _, id in ipairs(call('ZRANGE', root .. 'blocked', 0, given.limit - 1)) do
    local edges = call('HGETALL', root .. 'parents:' .. id)
    for n = 1, #edges, 2 do
        local parent = tonumber(edges[n])
        if not undecided[parent] and not cmsgpack.unpack(edges[n + 1])[2] then
            undecided[parent] = true
            parents[#parents + 1] = parent
        end
    end
end
local stranded = {}
for n, live in ipairs(fetch(root .. 'job', parents)) do
    if not live then stranded[#stranded + 1] = parents[n] end
end
for n, ended in ipairs(read_ended(stranded)) do
    local state = ended and ended[ENDED_JOB][STATE] or 'completed'
    call('RPUSH', root .. 'settling', cmsgpack.pack({stranded[n], state, 0, given.keep}))
end
settle(now, not given.now)
return {{{#stranded, #orphaned}}}
