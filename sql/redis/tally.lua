-- tally: notes what a process has counted, a row for each queue, task and minute; repeating it changes nothing.
--
-- in:   rows list of {at, seconds, worker, queue, task, figures}: instants are microseconds since the epoch, figures JSON text
-- out:  no rows
-- uses: lib/tally
for _, row in ipairs(given.rows) do note_tally(row) end
return {{}}
