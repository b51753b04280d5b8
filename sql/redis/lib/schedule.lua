-- schedule: the records of schedules, and of what became of their instants.
--
-- in:   names
-- out:  functions
-- uses: lib/store, lib/instant
-- trap: what was declared is the text of a JSON object, which no script decodes; what changes is kept beside it. A field
--       without a value is false. Schedules are ordered by the instant when they are due: 0 if it must still be computed.
local DEFINITION, OWNER, SOURCE, REVISION, LAST_AT, NEXT_AT = 1, 2, 3, 4, 5, 6
local PAUSED_AT, PAUSED_BY, RETIRED_AT, PROBLEM, CREATED_AT = 7, 8, 9, 10, 11

-- Schedules in the order of the names, false for one that does not exist.
local function read_schedules(names)
    local found = fetch(root .. 'schedule', names)
    for n = 1, #names do found[n] = found[n] and cmsgpack.unpack(found[n]) end
    return found
end

local function write_schedule(name, record)
    call('HSET', root .. 'schedule', name, cmsgpack.pack(record))
    if record[PAUSED_AT] or record[RETIRED_AT] then
        call('ZREM', root .. 'schedule_due', name)
    else
        call('ZADD', root .. 'schedule_due', record[NEXT_AT] or 0, name)
    end
end

local function schedule_text(name, record)
    local function at(field) return record[field] and '"' .. iso(record[field]) .. '"' or 'null' end
    local function said(field) return record[field] and cjson.encode(record[field]) or 'null' end
    return joined({'"name":' .. cjson.encode(name), inside(record[DEFINITION]), '"owner":' .. said(OWNER),
                   '"source":' .. said(SOURCE), '"revision":' .. text(record[REVISION]), '"last_at":' .. at(LAST_AT),
                   '"next_at":' .. at(NEXT_AT), '"paused_at":' .. at(PAUSED_AT), '"paused_by":' .. said(PAUSED_BY),
                   '"retired_at":' .. at(RETIRED_AT), '"problem":' .. said(PROBLEM), '"created_at":' .. at(CREATED_AT)})
end

-- Seconds until the next schedule is due, 0 or less if one is; null when there is none.
local function schedule_seconds(now)
    local first = call('ZRANGE', root .. 'schedule_due', 0, 0, 'WITHSCORES')[2]
    if not first then return null end
    local at = tonumber(first)
    return at == 0 and 0 or (at - now) / 1000000
end

local function firing_key(name, instant) return text(instant) .. ' ' .. name end
