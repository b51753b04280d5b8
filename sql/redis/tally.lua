-- tally: what a process has counted is noted, a row a queue and task and minute; said again, it is the same.
--
-- in:   rows list of {at, seconds, worker, queue, task, figures}: instants are microseconds since the epoch, figures JSON text
-- out:  no rows
-- uses: lib/tally
for _, row in ipairs(given.rows) do note_tally(row) end
return {{}}
