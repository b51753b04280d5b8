-- firings: what became of the instants of one schedule, the latest first.
--
-- in:   name text · since, until text: only from the first, and before the second, or null · limit integer
-- out:  one JSON document a firing
-- walks: the primary key, backwards
SELECT json_object(
           'schedule', schedule, 'job_id', job_id, 'outcome', outcome,
           'instant', strftime('%Y-%m-%dT%H:%M:%S', instant / 1000000, 'unixepoch') || printf('.%06dZ', instant % 1000000),
           'fired_at', strftime('%Y-%m-%dT%H:%M:%S', fired_at / 1000000, 'unixepoch') || printf('.%06dZ', fired_at % 1000000))
FROM pgqueue_firing
WHERE schedule = :name
  AND (:since IS NULL
       OR instant >= (
           SELECT
           -- include: microseconds
           FROM (SELECT :since AS at)))
  AND (:until IS NULL
       OR instant < (
           SELECT
           -- include: microseconds
           FROM (SELECT :until AS at)))
ORDER BY instant DESC
LIMIT CAST(:limit AS INTEGER);
