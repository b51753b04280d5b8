-- schedules: schedules as they are, by name, a page at a time.
--
-- in:   names  list: only these · owner, source: only theirs
--       after  only names after it · limit · now
-- out:  document JSON, null of each; then null, and the clock as text
-- uses: lib/schedule
-- walks: the names in their order; all of them come before ~
local CHUNK, MOST = 200, 1000
local rows, after, looked = {}, given.after, 0

local function add(names)
    for n, record in ipairs(read_schedules(names)) do
        if record and #rows < given.limit and (not given.owner or record[OWNER] == given.owner)
            and (not given.source or record[SOURCE] == given.source) then
            rows[#rows + 1] = {schedule_text(names[n], record), null}
        end
    end
end

if given.names then
    local names = {}
    for _, name in ipairs(given.names) do
        if not after or name > after then names[#names + 1] = name end
    end
    table.sort(names)
    add(names)
else
    while #rows < given.limit do
        if looked >= MOST then return {rows}, {after = after, limit = given.limit - #rows} end
        local names = call('ZRANGEBYLEX', root .. 'schedule_names', after and '(' .. after or '-', '[~', 'LIMIT', 0, CHUNK)
        if #names == 0 then break end
        add(names)
        looked, after = looked + #names, names[#names]
    end
end
rows[#rows + 1] = {null, iso(clock(given))}
return {rows}
