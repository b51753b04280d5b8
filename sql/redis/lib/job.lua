-- job: the records of jobs, and how they are read and written.
--
-- in:   ids
-- out:  functions
-- uses: lib/store
-- trap: a field that has no value is false, as nil would end the array. A live job's record is written anew
--       at each change; its body (what it was given, perhaps a megabyte) never.
local STATE, QUEUE, PRIORITY, POSITION, LEASE = 1, 2, 3, 4, 5
local WORKER, ATTEMPT, MAX_ATTEMPTS, RESCUES, RUN_AT = 6, 7, 8, 9, 10
local CLAIMED_AT, BLOCKED_BY, CANCEL_REQUESTED, REASON, ERRORS = 11, 12, 13, 14, 15
local PROGRESS, WORKFLOW, UNIQUE, PARENTS, CHILDREN, DUE_AT, KEY = 16, 17, 18, 19, 20, 21, 22
local EXPIRES_AT, UNKEPT, PERMIT = 23, 24, 25
local TASK, ARGS, TIMEOUT, METADATA, TAGS, ENQUEUED_AT = 1, 2, 3, 4, 5, 6
local ENDED_JOB, ENDED_BODY, FINISHED_AT, RESULT, CAUSE = 1, 2, 3, 4, 5

-- Live jobs in the order of the ids, false for one that is not live.
local function read(ids)
    local jobs = fetch(root .. 'job', ids)
    for n = 1, #ids do jobs[n] = jobs[n] and cmsgpack.unpack(jobs[n]) end
    return jobs
end

local function write(ids, jobs)
    local arguments = {}
    for n, id in ipairs(ids) do
        arguments[2 * n - 1], arguments[2 * n] = id, cmsgpack.pack(jobs[n])
    end
    many('HSET', root .. 'job', arguments)
end

local function read_body(id)
    return cmsgpack.unpack(call('HGET', root .. 'body', id))
end

-- Finished jobs in the order of the ids, false for one that has not finished, or is gone.
local function read_ended(ids)
    local found = {}
    for first = 1, #ids, SLICE do
        local keys = {}
        for n = first, math.min(first + SLICE - 1, #ids) do keys[#keys + 1] = root .. 'ended:' .. text(ids[n]) end
        for n, packed in ipairs(call('MGET', unpack(keys))) do
            local ended = packed and cmsgpack.unpack(packed)
            if ended then ended[ENDED_JOB] = cmsgpack.unpack(ended[ENDED_JOB]) end
            found[first + n - 1] = ended
        end
    end
    return found
end

-- Notes how a parent ended, for those who have looked at it and are about to add a child.
local HELD_SECONDS = 3600

local function note_held(id, state)
    call('SET', root .. 'held', 1, 'EX', HELD_SECONDS)
    call('SET', root .. 'held:' .. text(id), state, 'EX', HELD_SECONDS)
end

local function numbers(members)
    for n = 1, #members do members[n] = tonumber(members[n]) end
    return members
end

local ERRORS_KEPT = 10

-- Adds one more error, as JSON text; beyond the limit the oldest is forgotten.
local function remember(job, error)
    local errors = job[ERRORS] or {}
    if #errors >= ERRORS_KEPT then table.remove(errors, 1) end
    errors[#errors + 1] = error
    job[ERRORS] = errors
end

local function progress_text(job)
    if not job[PROGRESS] then return null end
    local parts = {}
    for name, value in pairs(job[PROGRESS]) do parts[#parts + 1] = cjson.encode(name) .. ':' .. value end
    return '{' .. table.concat(parts, ',') .. '}'
end
