-- windows: unique keys that hold until an instant, one page, in the order of the keys.
--
-- in:   last_key text: the last key of the page before, or null · limit integer · now
-- out:  key, job, until: microseconds since 1970
-- walks: the primary key of recent, from the last key on
SELECT r.key, r.job_id, (extract(epoch FROM r.until) * 1000000)::bigint
FROM pgqueue.recent AS r
WHERE r.key > coalesce(:last_key::text, '')
  AND r.until > coalesce(:now::timestamptz, clock_timestamp())
ORDER BY r.key
LIMIT :limit::integer;
