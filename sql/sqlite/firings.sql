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
       OR instant >= strftime('%s', substr(:since, 1, 19) || substr(:since, iif(substr(:since, 20, 1) = '.', 27, 20))) * 1000000
                      + iif(substr(:since, 20, 1) = '.', substr(:since, 21, 6), 0))
  AND (:until IS NULL
       OR instant < strftime('%s', substr(:until, 1, 19) || substr(:until, iif(substr(:until, 20, 1) = '.', 27, 20))) * 1000000
                      + iif(substr(:until, 20, 1) = '.', substr(:until, 21, 6), 0))
ORDER BY instant DESC
LIMIT CAST(:limit AS INTEGER);
