-- tallied: what was counted in a span of time, in the order of time.
--
-- in:   seconds integer: 60 or 3600 · since, until bigint: microseconds since the epoch, *until* itself left out
--       queue text or null: only this one · limit integer
-- out:  at in microseconds, seconds, worker, queue, task, figures (JSON)
-- walks: the primary key, from since on
SELECT (extract(epoch FROM t.at) * 1000000)::bigint, t.seconds, t.worker, t.queue, t.task, t.figures::text
FROM pgqueue.tally AS t
WHERE t.seconds = :seconds::integer
  AND t.at >= 'epoch'::timestamptz + :since::bigint * interval '1 microsecond'
  AND t.at < 'epoch'::timestamptz + :until::bigint * interval '1 microsecond'
  AND (:queue::text IS NULL OR t.queue = :queue::text)
ORDER BY t.at, t.worker, t.queue, t.task
LIMIT :limit::integer;
