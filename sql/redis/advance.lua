-- advance: moves schedules to their next instants; skips one that has changed since it was read, is paused or is retired.
--
-- in:   schedules list of {name, revision, was, last_at, next_at, problem}: *was* is next_at as it was read, *last_at* the new
--                 watermark
--       look    boolean: only say which ones would move
-- out:  name of each that moved: its job must be written together with this
-- uses: lib/schedule
-- full: goes on
local names, rows = {}, {}
for n, row in ipairs(given.schedules) do names[n] = row.name end
for n, record in ipairs(read_schedules(names)) do
    local row = given.schedules[n]
    if record and record[REVISION] == row.revision and record[NEXT_AT] == (row.was or false)
        and not record[PAUSED_AT] and not record[RETIRED_AT]
        and not (row.last_at and record[LAST_AT] and record[LAST_AT] >= row.last_at) then
        rows[#rows + 1] = {row.name}
        if not given.look then
            record[LAST_AT] = row.last_at or record[LAST_AT]
            record[NEXT_AT], record[PROBLEM] = row.next_at or false, row.problem or false
            write_schedule(row.name, record)
        end
    end
end
return {rows}
