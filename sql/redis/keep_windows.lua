-- keep_windows: unique keys of another store hold here until the same instant.
--
-- in:   source  the other store's store_id
--       windows list of {key, job, until}: the job's id there
--       now
-- out:  key of each that holds here by this call
-- uses: lib/store
-- trap: call this before the jobs are copied, or others could enqueue with their keys meanwhile: a job that is not here
--       yet, and may never come, has its id here already, below zero as in restore. A key that holds here already stays
--       as it is.
local now, copied, rows = clock(given), root .. 'copied:' .. given.source, {}
table.sort(given.windows, function(a, b) return a.job < b.job end)
for _, window in ipairs(given.windows) do
    local holds = tonumber(call('ZSCORE', root .. 'recent_until', window.key) or nil)
    if window['until'] > now and not (holds and holds > now) then
        local number = tonumber(call('HGET', copied, window.job) or nil)
        if not number then
            number = -call('INCR', root .. 'id')
            call('HSET', copied, window.job, number)
        end
        call('HSET', root .. 'recent', window.key, math.abs(number))
        call('ZADD', root .. 'recent_until', window['until'], window.key)
        rows[#rows + 1] = {window.key}
    end
end
return {rows}
