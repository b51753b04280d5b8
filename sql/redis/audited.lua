-- audited: what was done, the newest first, a page at a time.
--
-- in:   before only entries with a smaller id · target only entries about this one · limit
-- out:  id, at in microseconds since the epoch, who, verb, target, filter, count, answer, reason
-- uses: lib/store
local rows = {}
local at = root .. (given.target and 'audits:' .. given.target or 'audits')
local below = given.before and '(' .. text(given.before) or '+inf'
local ids = call('ZREVRANGEBYSCORE', at, below, '-inf', 'LIMIT', 0, given.limit)
for n, packed in ipairs(fetch(root .. 'audit', ids)) do
    if packed then
        local row = {tonumber(ids[n])}
        for place, value in ipairs(cmsgpack.unpack(packed)) do row[place + 1] = value or null end
        rows[#rows + 1] = row
    end
end
return {rows}
