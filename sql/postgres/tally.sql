-- tally: notes what a process has counted, a row for each queue, task and minute; repeating it changes nothing.
--
-- in:   rows JSON array of {at, seconds, worker, queue, task, figures}: instants are microseconds since the epoch
-- out:  nothing
-- trap: writes rows in the order of the primary key: else reading a day of them would fetch each block again and again.
INSERT INTO pgqueue.tally (at, seconds, worker, queue, task, figures)
SELECT 'epoch'::timestamptz + r.at * interval '1 microsecond', r.seconds, r.worker, r.queue, r.task, r.figures
FROM jsonb_to_recordset(:rows::jsonb) AS r(at bigint, seconds integer, worker integer, queue text, task text, figures jsonb)
ORDER BY r.seconds, r.at, r.worker, r.queue, r.task
ON CONFLICT (seconds, at, worker, queue, task) DO UPDATE SET figures = excluded.figures;
