-- present: the workers whose sessions live, by the lock that each holds.
--
-- out:  worker
SELECT objid::bigint AS worker
FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 2
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid::bigint = hashtext('pgqueue')::bigint & 4294967295
