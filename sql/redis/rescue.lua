-- rescue: makes the jobs of dead workers available, or discards them when they keep killing workers.
--
-- in:   patience_seconds  how long a worker must have been absent
--       silent  {worker: beat} of workers that were silent for too long, with the beat that watch showed; or
--               nothing: all that have sent no heartbeat for frozen_seconds by the store's clock
--       spared  list or nothing: the workers that may still come back, as the rescuer knows
--       frozen_seconds
--       max_rescues       · keep, now   as for complete
-- out:  id, state, worker, task of each job taken from a dead worker; and one row without an id whose state is
--       the number of other workers, as text
-- uses: lib/settle, lib/worker, lib/identity
-- full: goes on
-- trap: only a second sighting counts, because a live worker that lost its connection is present again at once. After a
--       restart, or on a replica that has become the primary, no worker is present: the run_id is another one then, and a
--       worker whose record does not name it has ten seconds, as it has sent no heartbeat since. An instant in the future
--       counts for nothing: the clock was ahead.
local CHUNK, GRACE = 1000, 10 * 1000000
if not is_settled(given) then return end
local now = clock(given)
local run = run_id()
local known = call('HGET', root .. 'server', 'run_id')
if known ~= run then
    call('HSET', root .. 'server', 'run_id', run, 'since', known and now or 0)
end
local since = tonumber(call('HGET', root .. 'server', 'since'))
local settled_in = since > now or now >= since + GRACE

local function is_frozen(id, worker)
    if given.silent then return given.silent[text(id)] == text(worker[HEARTBEAT_AT]) end
    return now - worker[HEARTBEAT_AT] >= micro(given.frozen_seconds)
end

local spared = {}
for _, id in ipairs(given.spared or {}) do spared[id] = true end

local rows, alive = {}, 0
local jobs, back_ids, back, ended, ended_ids, endings = {}, {}, {}, {}, {}, {}
for _, entry in ipairs(read_workers()) do
    local id, worker = entry[1], entry[2]
    local excused = spared[id] or not settled_in and worker[SERVER] ~= run
    local present = not worker[SESSION] or is_present(id) or excused
    local dead = is_frozen(id, worker)
    if not dead and present and worker[SUSPECTED_AT] then
        worker[SUSPECTED_AT] = false
        write_worker(id, worker)
    elseif not dead and not present and worker[SUSPECTED_AT] and worker[SUSPECTED_AT] <= now then
        dead = now - worker[SUSPECTED_AT] >= micro(given.patience_seconds)
    elseif not dead and not present then
        worker[SUSPECTED_AT] = now
        write_worker(id, worker)
    end
    if dead and #rows < CHUNK then
        local at = root .. 'running:' .. text(id)
        local ids = numbers(call('ZRANGE', at, 0, CHUNK - 1))
        table.sort(ids)
        for n, job in ipairs(read(ids)) do
            local nextly = job[CANCEL_REQUESTED] and 'cancelled'
                or job[RESCUES] >= given.max_rescues and 'discarded' or 'available'
            remember(job, joined({'"attempt":' .. text(job[ATTEMPT]), '"type":"WorkerLost"',
                '"worker":' .. text(id), '"at":"' .. iso(now) .. '"',
                '"message":' .. cjson.encode('worker ' .. text(id) .. ' (' .. profile_of(worker).name
                                             .. ') died or froze while it ran this job')}))
            job[RESCUES] = job[RESCUES] + 1
            jobs[ids[n]] = job
            rows[#rows + 1] = {ids[n], nextly, id, read_body(ids[n])[TASK]}
        end
        -- A worker that holds more jobs than one run takes stays listed, and dead.
        if #ids < CHUNK then call('HDEL', root .. 'worker', id) end
    else
        alive = alive + 1
    end
end
local reason = 'it has killed its worker ' .. text(given.max_rescues + 1) .. ' times'
for _, row in ipairs(rows) do
    local id, nextly = row[1], row[2]
    if nextly == 'available' then
        back_ids[#back_ids + 1] = id
    else
        ended[#ended + 1], ended_ids[#ended_ids + 1] = jobs[id], id
        endings[#endings + 1] = {state = nextly, reason = nextly == 'discarded' and reason}
    end
end
finish(ended_ids, ended, endings, given.keep, now, not given.now)
table.sort(back_ids)
for n, id in ipairs(back_ids) do back[n] = jobs[id] end
leave(back_ids, back)
for _, job in ipairs(back) do
    job[STATE], job[LEASE], job[ATTEMPT] = 'available', false, job[ATTEMPT] - 1
end
wake_all(enter(back_ids, back, now))
write(back_ids, back)
settle(now, not given.now)
rows[#rows + 1] = {null, text(alive), null, null}
return {rows}
