-- fold: replaces rows of the tally by their sums, if all of them are still there, and deletes hours past their retention.
--
-- in:   replaced JSON array of {at, seconds, worker, queue, task} · rows JSON array, as for tally: their sums
--       before integer: hours that began earlier are deleted
-- out:  whether the rows were replaced
-- walks: the primary key, by its values; for deletions, from the oldest hour
-- trap: for a moment there may be two leaders that fold the same rows: one that finds a row gone changes nothing.
SELECT (SELECT count(*)
        FROM json_each(:replaced) AS g
        CROSS JOIN pgqueue_tally AS t
            ON t.seconds = g.value ->> '$.seconds' AND t.at = g.value ->> '$.at' AND t.worker = g.value ->> '$.worker'
           AND t.queue = g.value ->> '$.queue' AND t.task = g.value ->> '$.task')
       = json_array_length(:replaced) AS ":is_whole";

DELETE FROM pgqueue_tally
WHERE :is_whole
  AND (seconds, at, worker, queue, task) IN (
    SELECT value ->> '$.seconds', value ->> '$.at', value ->> '$.worker', value ->> '$.queue', value ->> '$.task'
    FROM json_each(:replaced));

DELETE FROM pgqueue_tally WHERE seconds = 3600 AND at < CAST(:before AS INTEGER);

INSERT INTO pgqueue_tally (at, seconds, worker, queue, task, figures)
SELECT value ->> '$.at', value ->> '$.seconds', value ->> '$.worker', value ->> '$.queue', value ->> '$.task', value -> '$.figures'
FROM json_each(:rows)
WHERE :is_whole
ON CONFLICT (seconds, at, worker, queue, task) DO UPDATE SET figures = excluded.figures;

SELECT :is_whole;
