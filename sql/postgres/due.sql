-- due: schedules whose next instant has come, the longest due first, or must still be computed.
--
-- in:   limit integer · now
-- out:  document JSON, null, null of each; then null, the clock as text, and the seconds until the next one is due, null
--       when there is none
-- walks: schedule_due from its beginning; no sort
-- trap: one statement, so that it reads the clock once: what becomes due between two statements would be in neither answer.
WITH clock AS MATERIALIZED (
    SELECT coalesce(:now::timestamptz, clock_timestamp()) AS instant
), upcoming AS (
    SELECT s.next_at
    FROM pgqueue.schedule AS s
    WHERE s.paused_at IS NULL AND s.retired_at IS NULL AND s.next_at > (SELECT instant FROM clock)
    ORDER BY s.next_at NULLS FIRST
    LIMIT 1
)
(SELECT to_jsonb(s)::text, NULL, NULL::float8
 FROM pgqueue.schedule AS s
 WHERE s.paused_at IS NULL AND s.retired_at IS NULL AND s.next_at IS NULL
 LIMIT :limit::integer)
UNION ALL
(SELECT to_jsonb(s)::text, NULL, NULL
 FROM pgqueue.schedule AS s
 WHERE s.paused_at IS NULL AND s.retired_at IS NULL AND s.next_at <= (SELECT instant FROM clock)
 ORDER BY s.next_at NULLS FIRST
 LIMIT :limit::integer)
UNION ALL
SELECT NULL, to_jsonb(instant) #>> '{}', extract(epoch FROM (SELECT next_at FROM upcoming) - instant)::float8
FROM clock;
