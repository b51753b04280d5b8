-- worker: the records of worker processes.
--
-- in:   id
-- out:  functions
-- uses: lib/store, lib/instant, lib/identity
-- trap: a profile {name, host, pid, queues, started_at, info} is the JSON text that the worker gave.
local PROFILE, RUNNING, HEARTBEAT_AT, SUSPECTED_AT, SESSION, ASKED, SERVER = 1, 2, 3, 4, 5, 6, 7

local function read_worker(id)
    local packed = id and call('HGET', root .. 'worker', id)
    return packed and cmsgpack.unpack(packed)
end

local function write_worker(id, worker)
    call('HSET', root .. 'worker', id, cmsgpack.pack(worker))
end

-- {id, record} in the order of the ids.
local function read_workers()
    local workers, fields = {}, call('HGETALL', root .. 'worker')
    for n = 1, #fields, 2 do workers[#workers + 1] = {tonumber(fields[n]), cmsgpack.unpack(fields[n + 1])} end
    table.sort(workers, function(one, other) return one[1] < other[1] end)
    return workers
end

local function profile_of(worker) return cjson.decode(worker[PROFILE]) end

-- What the worker had been asked, as its profile says: the record may be gone.
local function asked_in(profile)
    local asked = (cjson.decode(profile).info or {}).asked
    return asked ~= null and asked or false
end

-- The number of the heartbeat to which a profile belongs; nil if it has none.
local function beats_in(profile) return (cjson.decode(profile).info or {}).beats end

-- Writes a heartbeat. SERVER: the run of the server under which its session lived, if it had one.
local function speaks(id, given)
    local worker = read_worker(id) or {[ASKED] = asked_in(given.profile)}
    worker[PROFILE] = given.profile
    worker[RUNNING], worker[HEARTBEAT_AT], worker[SUSPECTED_AT] = given.running, clock(given), false
    worker[SESSION], worker[ASKED] = given.session, worker[ASKED] or false
    worker[SERVER] = given.session and run_id()
    write_worker(id, worker)
    return worker
end

local function worker_text(id, worker, more)
    return joined({'"id":' .. text(id), inside(worker[PROFILE]), '"running":' .. text(worker[RUNNING]),
                   '"heartbeat_at":"' .. iso(worker[HEARTBEAT_AT]) .. '"',
                   '"suspected_at":' .. (worker[SUSPECTED_AT] and '"' .. iso(worker[SUSPECTED_AT]) .. '"' or 'null'),
                   '"session":' .. tostring(worker[SESSION]),
                   '"asked":' .. (worker[ASKED] and '"' .. worker[ASKED] .. '"' or 'null'), more or ''})
end
