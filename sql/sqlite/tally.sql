-- tally: what a process has counted is noted, a row a queue and task and minute; said again, it is the same.
--
-- in:   rows JSON array of {at, seconds, worker, queue, task, figures}: instants are microseconds since the epoch
-- out:  nothing
INSERT INTO pgqueue_tally (at, seconds, worker, queue, task, figures)
SELECT value ->> '$.at', value ->> '$.seconds', value ->> '$.worker', value ->> '$.queue', value ->> '$.task', value -> '$.figures'
FROM json_each(:rows)
WHERE true
ON CONFLICT (seconds, at, worker, queue, task) DO UPDATE SET figures = excluded.figures;
