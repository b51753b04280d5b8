-- expire: cancels waiting jobs that may not begin an attempt any more, the longest expired first.
--
-- in:   limit, skip  integers: at most so many, after skipping so many
--       keep, now    as for complete
-- out:  count, next_seconds: how many expired; the seconds until the next one does (0: more have already; NULL: none will)
-- then: parts/archive, parts/settle
-- walks: job_expires from its beginning; no sort
-- trap: skips jobs that somebody has locked, also a parent to which a child is being added. A running job belongs to its
--       worker, which tries it again in time, or not at all.
WITH clock AS MATERIALIZED (
    SELECT coalesce(:now::timestamptz, clock_timestamp()) AS instant
), expired AS MATERIALIZED (
    SELECT j.id, j.expires_at
    FROM pgqueue.job AS j
    WHERE j.expires_at IS NOT NULL AND j.state <> 'running' AND j.expires_at < (SELECT instant FROM clock)
    ORDER BY j.expires_at
    LIMIT :limit::integer OFFSET :skip::integer
    FOR UPDATE SKIP LOCKED
), noted AS (
    SELECT count(*) AS count,
           set_config('pgqueue_local.ending', coalesce(jsonb_agg(jsonb_build_object(
               'id', id, 'state', 'cancelled',
               'reason', 'expired: no attempt was to begin after ' || to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
               )), '[]')::text, true)
    FROM expired
), upcoming AS (
    SELECT j.expires_at
    FROM pgqueue.job AS j
    WHERE j.expires_at IS NOT NULL AND j.state <> 'running' AND j.expires_at >= (SELECT instant FROM clock)
    ORDER BY j.expires_at
    LIMIT 1
)
SELECT count, CASE WHEN count >= :limit::integer THEN 0
                   ELSE extract(epoch FROM (SELECT expires_at FROM upcoming) - instant)::float8 END
FROM noted, clock;
