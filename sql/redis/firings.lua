-- firings: what became of the instants of one schedule, the latest first.
--
-- in:   name · since, until: only from the first, and before the second · limit
-- out:  one JSON document a firing
-- uses: lib/schedule
-- walks: the instants, backwards
local before = given['until'] and '(' .. text(given['until']) or '+inf'
local instants = call('ZREVRANGEBYSCORE', root .. 'firings:' .. given.name, before, given.since or '-inf',
                      'LIMIT', 0, given.limit)
local rows = {}
for n, packed in ipairs(fetch(root .. 'firing:' .. given.name, instants)) do
    local job, outcome, fired_at = unpack(cmsgpack.unpack(packed))
    rows[n] = {'{"schedule":' .. cjson.encode(given.name) .. ',"instant":"' .. iso(tonumber(instants[n]))
               .. '","job_id":' .. (job and text(job) or 'null') .. ',"outcome":"' .. outcome
               .. '","fired_at":"' .. iso(fired_at) .. '"}'}
end
return {rows}
