-- claim: gives each job to one worker, most urgent first, with attempt + 1, under the caller's lease.
--
-- in:   queue · worker · limit · now
--       strays take up to so many jobs that have keys first; if there are any, claim_in_turn should serve the queue from
--              then on. A queue with limits gives this claim nothing
--       lease  a number of the worker's block that no other claim was given
--       floors list of {priority, position, below}: look, in each in turn, at what lies above (priority, position)
--              and has a priority smaller than *below*
-- out:  id, priority, position, attempt, task, args, max_attempts, timeout_seconds, run_at in seconds since the
--       epoch, rescues, progress, metadata, tags, workflow, queue, key, expires_in (seconds; a job with less than zero
--       must not begin); in order
-- uses: lib/hand_out
-- walks: the queue's priorities, and each one's order from its floor upwards
-- full: goes on
local queue, limit = given.queue, given.limit
if call('HEXISTS', root .. 'paused', queue) == 1 or call('HEXISTS', root .. 'limits', queue) == 1 then return {{}} end

local ids = {}
if given.strays > 0 then
    local keys = root .. 'keys:' .. queue
    for _, key in ipairs(call('ZRANGE', keys, 0, given.strays - 1)) do
        if #ids >= given.strays then break end
        local line = line_of(queue, key)
        for _, id in ipairs(first_of(line, given.strays - #ids)) do ids[#ids + 1] = id end
        if call('EXISTS', root .. 'priorities:' .. line) == 0 then call('ZREM', keys, key) end
    end
end
for _, id in ipairs(first_of(queue, limit - #ids, given.floors)) do ids[#ids + 1] = id end
if #ids == 0 then
    if call('EXISTS', root .. 'priorities:' .. queue, root .. 'keys:' .. queue) == 0 then
        call('SREM', root .. 'queues', queue)
    end
    return {{}}
end
local now = clock(given)
return {claimed(ids, hand_out(given, ids, now), now)}
