-- identity: numbers that no worker has ever had: who it is, and what it may give out as leases.
--
-- in:   nothing
-- out:  functions
-- uses: store
-- trap: a server that crashes may forget its last moments, and its counters with them; the workers of those moments
--       live on. So the counters leap in each new run of the server. Should everything be gone, the leases begin at one
--       of a hundred thousand places, each of which has room for a thousand blocks.
local BLOCK, LEAP, WORKERS_LEAP = 10000000, 100000000000, 1000
local PLACES, PLACE = 100000, 10000000000

local function run_id() return call('INFO', 'server'):match('run_id:(%w+)') end

local function leap()
    local run = run_id()
    if call('HGET', root .. 'server', 'counts_in') == run then return end
    local lease = tonumber(call('GET', root .. 'lease') or nil)
    call('SET', root .. 'lease', lease and lease + LEAP or (1 + tonumber(run:sub(1, 8), 16) % PLACES) * PLACE)
    if lease then call('INCRBY', root .. 'worker_id', WORKERS_LEAP) end
    call('HSET', root .. 'server', 'counts_in', run)
end

local function next_worker()
    leap()
    return call('INCR', root .. 'worker_id')
end

local function next_leases()
    leap()
    return call('INCRBY', root .. 'lease', BLOCK)
end
