-- partitions: have the leaders made partitions for the jobs that finish today and later?
--
-- in:   now
-- out:  state, today: there is one for now · ahead: there is one that begins later · stray: how many jobs finished
--       when there was none, counted up to 1,000
SELECT state,
       coalesce(bool_or(first <= instant AND instant < last), false),
       coalesce(bool_or(first > instant), false),
       CASE state WHEN 'completed' THEN (SELECT count(*) FROM (SELECT FROM pgqueue.archive_completed_default LIMIT 1000) AS a)
                  WHEN 'cancelled' THEN (SELECT count(*) FROM (SELECT FROM pgqueue.archive_cancelled_default LIMIT 1000) AS a)
                  ELSE (SELECT count(*) FROM (SELECT FROM pgqueue.archive_discarded_default LIMIT 1000) AS a) END
FROM (VALUES ('completed', 'pgqueue.archive_completed'::regclass),
             ('cancelled', 'pgqueue.archive_cancelled'::regclass),
             ('discarded', 'pgqueue.archive_discarded'::regclass)) AS ended(state, parent)
CROSS JOIN (SELECT extract(epoch FROM coalesce(:now::timestamptz, clock_timestamp())) AS instant) AS clock
LEFT JOIN LATERAL (
    SELECT (regexp_match(c.relname, '_([0-9]+)_([0-9]+)$'))[1]::bigint AS first,
           (regexp_match(c.relname, '_([0-9]+)_([0-9]+)$'))[2]::bigint AS last
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = ended.parent
) AS part ON true
GROUP BY state
ORDER BY state;
