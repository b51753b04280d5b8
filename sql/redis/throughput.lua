-- throughput: what has finished lately, and how long that took.
--
-- in:   seconds look back so far · limit at most so many jobs
-- out:  state, count, waited p50, p99 in seconds from due to claimed, ran p50, p99 from claimed to finished
-- uses: lib/store, lib/job
-- walks: what ended, from its end
-- trap: a job that ended while it waited for its next attempt has kept its last claim: only a job that
--       ended at a worker has a lease.
local function percentile(values, share)
    if #values == 0 then return null end
    local place = 1 + (#values - 1) * share
    local below = math.floor(place)
    local above = math.min(below + 1, #values)
    return (values[below] + (values[above] - values[below]) * (place - below)) / 1000000
end

local now, rows = clock(given), {}
for _, state in ipairs({'completed', 'cancelled', 'discarded'}) do
    local since = now - micro(given.seconds)
    local ids = numbers(call('ZREVRANGEBYSCORE', root .. 'ended_at:' .. state, '+inf', '(' .. text(since),
                             'LIMIT', 0, given.limit))
    local count, waited, ran = 0, {}, {}
    for _, ended in ipairs(read_ended(ids)) do
        if ended then
            local job = ended[ENDED_JOB]
            count = count + 1
            if job[LEASE] then
                waited[#waited + 1] = job[CLAIMED_AT] - job[RUN_AT]
                ran[#ran + 1] = ended[FINISHED_AT] - job[CLAIMED_AT]
            end
        end
    end
    table.sort(waited)
    table.sort(ran)
    if count > 0 then
        rows[#rows + 1] = {state, count, percentile(waited, 0.5), percentile(waited, 0.99),
                           percentile(ran, 0.5), percentile(ran, 0.99)}
    end
end
return {rows}
