-- forget: deletes old records, a portion a call: old firings, the oldest firings of a schedule that has very many,
-- unique keys that no longer hold, and old entries of the audit.
--
-- in:   limit integer · days float8: how long firings are kept · most integer: so many of each schedule
--       audit_days float8 or null: how long the audit is kept; null: for ever · now
-- out:  how many rows were deleted
-- walks: firing_fired, audit_at and recent_until from their beginnings; the primary key of those that fired within the last hour
-- trap: the watermark, not this history, keeps an instant from firing again.
WITH clock AS MATERIALIZED (
    SELECT coalesce(:now::timestamptz, clock_timestamp()) AS instant
), old AS MATERIALIZED (
    SELECT f.schedule, f.instant
    FROM pgqueue.firing AS f
    WHERE f.fired_at < (SELECT instant - make_interval(secs => :days::float8 * 86400) FROM clock)
    ORDER BY f.fired_at
    LIMIT :limit::integer
), beyond AS MATERIALIZED (
    SELECT f.schedule, f.instant
    FROM (SELECT DISTINCT r.schedule FROM pgqueue.firing AS r
          WHERE r.fired_at > (SELECT instant - interval '1 hour' FROM clock)) AS s
    CROSS JOIN LATERAL (
        SELECT f.schedule, f.instant FROM pgqueue.firing AS f
        WHERE f.schedule = s.schedule ORDER BY f.instant DESC OFFSET :most::integer
    ) AS f
    LIMIT :limit::integer
), gone AS (
    DELETE FROM pgqueue.firing AS f
    USING (SELECT * FROM old UNION SELECT * FROM beyond) AS g
    WHERE f.schedule = ANY (ARRAY[g.schedule]) AND f.instant = ANY (ARRAY[g.instant])
    RETURNING f.schedule
), over AS MATERIALIZED (
    SELECT r.key FROM pgqueue.recent AS r
    WHERE r.until <= (SELECT instant FROM clock)
    ORDER BY r.until
    LIMIT :limit::integer
    FOR UPDATE SKIP LOCKED
), free AS (
    DELETE FROM pgqueue.recent AS r USING over WHERE r.key = ANY (ARRAY[over.key]) RETURNING r.key
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM free)
     + coalesce((SELECT pgqueue.forget_audit(instant - make_interval(secs => :audit_days::float8 * 86400), :limit::integer)
                 FROM clock WHERE :audit_days::float8 IS NOT NULL), 0);
