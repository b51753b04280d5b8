-- schedule: writes schedules, each only if nobody has written it since it was read.
--
-- in:   schedules list of {name, definition, owner, source, revision, moved, last_at, next_at, paused_at, paused_by,
--                 retired_at, problem}; revision: the one that was read, none for a new one; next_at is used only where
--                 *moved* is true
--       now
-- out:  name of each that was written; a missing one exists already, is gone, or has a newer revision
-- uses: lib/schedule, lib/place
-- trap: the leader writes last_at; it is taken from here only for a new record. A next_at that is not after last_at would
--       fire again: then the leader computes it.
local now, names, rows, is_soon = clock(given), {}, {}, false
for n, row in ipairs(given.schedules) do names[n] = row.name end
local records = read_schedules(names)
for n, row in ipairs(given.schedules) do
    local known = records[n]
    if known and known[REVISION] == row.revision or not known and not row.revision then
        local last_at = known and known[LAST_AT] or not known and row.last_at or false
        local next_at = row.next_at or false
        if known and not row.moved then
            next_at = known[NEXT_AT]
        elseif next_at and last_at and next_at <= last_at then
            next_at = false
        end
        write_schedule(row.name, {row.definition, row.owner or false, row.source, known and known[REVISION] + 1 or 1, last_at,
                                  next_at, row.paused_at or false, row.paused_by or false, row.retired_at or false,
                                  row.problem or false, known and known[CREATED_AT] or now})
        call('ZADD', root .. 'schedule_names', 0, row.name)
        is_soon = is_soon or not next_at or next_at < now + SOON
        rows[#rows + 1] = {row.name}
    end
end
if is_soon then wake('@') end
return {rows}
