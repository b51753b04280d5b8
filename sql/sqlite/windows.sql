-- windows: unique keys that hold until an instant, one page, in the order of the keys.
--
-- in:   last_key text: the last key of the page before, or null · limit integer · now
-- out:  key, job, until: microseconds since 1970
-- walks: the primary key of recent, from the last key on
SELECT key, job_id, until
FROM pgqueue_recent
WHERE key > coalesce(:last_key, '') AND until > :now
ORDER BY key
LIMIT CAST(:limit AS INTEGER);
