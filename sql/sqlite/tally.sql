-- tally: notes what a process has counted, a row for each queue, task and minute; repeating it changes nothing.
--
-- in:   rows JSON array of {at, seconds, worker, queue, task, figures}: instants are microseconds since the epoch
-- out:  nothing
INSERT INTO pgqueue_tally (at, seconds, worker, queue, task, figures)
SELECT value ->> '$.at', value ->> '$.seconds', value ->> '$.worker', value ->> '$.queue', value ->> '$.task', value -> '$.figures'
FROM json_each(:rows)
WHERE true
ON CONFLICT (seconds, at, worker, queue, task) DO UPDATE SET figures = excluded.figures;
