-- tallied: what was counted in a span of time, in the order of time.
--
-- in:   seconds integer: 60 or 3600 · since, until integer: microseconds since the epoch, *until* itself left out
--       queue text or null: only this one · limit integer
-- out:  at in microseconds, seconds, worker, queue, task, figures (JSON)
-- walks: the primary key, from since on
SELECT at, seconds, worker, queue, task, figures
FROM pgqueue_tally
WHERE seconds = CAST(:seconds AS INTEGER) AND at >= CAST(:since AS INTEGER) AND at < CAST(:until AS INTEGER)
  AND (:queue IS NULL OR queue = :queue)
ORDER BY at, worker, queue, task
LIMIT CAST(:limit AS INTEGER);
