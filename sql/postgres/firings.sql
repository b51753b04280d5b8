-- firings: what became of the instants of one schedule, the latest first.
--
-- in:   name text · since, until timestamptz: only from the first, and before the second, or null · limit integer
-- out:  one JSON document a firing
-- walks: the primary key, backwards
SELECT to_jsonb(f)::text
FROM pgqueue.firing AS f
WHERE f.schedule = :name::text
  AND f.instant >= coalesce(:since::timestamptz, '-infinity')
  AND f.instant < coalesce(:until::timestamptz, 'infinity')
ORDER BY f.instant DESC
LIMIT :limit::integer;
