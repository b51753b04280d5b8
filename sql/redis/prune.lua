-- prune: deletes what is past its retention.
--
-- in:   retention {state: seconds, or false for ever}; a state that is missing, or 0, is not kept
--       now
--       deleted, passed  where earlier runs stopped
--       limit  not used: a script looks at few jobs at a time, and runs again
-- out:  0, 0, deleted: how many jobs were deleted, {}
-- uses: lib/archive
-- full: goes on
-- trap: what an unfinished child may still want to read stays. The retention is noted: from now on jobs are stored with
--       their time to live, and most expire without prune.
local CHUNK = 500
local now = clock(given)
local deleted, passed = given.deleted or 0, given.passed or {}
local looked = 0

for _, state in ipairs({'completed', 'cancelled', 'discarded'}) do
    local kept = given.retention[state]
    if kept == nil then kept = 0 end
    if kept and kept > 0 then
        call('HSET', root .. 'retention', state, kept)
    else
        call('HDEL', root .. 'retention', state)
    end
    local by_time = root .. 'ended_at:' .. state
    while kept and looked < CHUNK do
        local ids = numbers(call('ZRANGEBYSCORE', by_time, '-inf', now - micro(kept),
                                 'LIMIT', passed[state] or 0, CHUNK - looked))
        if #ids == 0 then break end
        looked = looked + #ids
        for n, ended in ipairs(read_ended(ids)) do
            local id = ids[n]
            local job = ended and ended[ENDED_JOB]
            if job and job[CHILDREN] and is_wanted(id) then
                passed[state] = (passed[state] or 0) + 1
            else
                erase(id, job, state)
                deleted = deleted + 1
            end
        end
    end
end
if looked >= CHUNK then return {{}}, {deleted = deleted, passed = passed} end

return {{{0, 0, deleted, '{}'}}}
