-- all_workers_present: are all workers present, so that rescue has nothing to do?
--
-- in:   silent, frozen_seconds, now   as for rescue
-- out:  if so, what rescue answers then: one row without an id, and the number of other workers, as text;
--       otherwise nothing
-- trap: only a hint, which costs one statement a second instead of four: rescue itself decides who is dead.
WITH present AS MATERIALIZED (
    -- include: present
)
SELECT NULL::bigint, count(*)::text, NULL::integer, NULL::text
FROM pgqueue.worker AS w
HAVING coalesce(:silent::jsonb, '{}') = '{}' AND coalesce(bool_and(
    (:silent::jsonb IS NOT NULL
     OR w.heartbeat_at > coalesce(:now::timestamptz, clock_timestamp()) - make_interval(secs => :frozen_seconds::float8))
    AND w.suspected_at IS NULL AND w.remaining IS NULL
    AND (NOT w.session OR w.id IN (SELECT worker FROM present))), true);
