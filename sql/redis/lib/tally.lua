-- tally: rows of what workers have counted: a hash for each minute or hour, in an order by time.
--
-- in:   rows {at, seconds, worker, queue, task, figures}
-- out:  functions
-- uses: lib/store
local function tally_at(row) return root .. 'tally:' .. text(row.seconds) .. ':' .. text(row.at) end

local function tally_field(row) return cmsgpack.pack({row.worker, row.queue, row.task}) end

local function note_tally(row)
    call('HSET', tally_at(row), tally_field(row), row.figures)
    call('ZADD', root .. 'tallies:' .. text(row.seconds), row.at, text(row.at))
end

local function forget_tally(row)
    call('HDEL', tally_at(row), tally_field(row))
    if call('EXISTS', tally_at(row)) == 0 then call('ZREM', root .. 'tallies:' .. text(row.seconds), text(row.at)) end
end
