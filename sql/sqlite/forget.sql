-- forget: deletes old records, a portion a call: old firings, the oldest firings of a schedule that has very many,
-- unique keys that no longer hold, and old entries of the audit.
--
-- in:   limit integer · days real: how long firings are kept · most integer: so many of each schedule
--       audit_days real or null: how long the audit is kept; null: for ever · now
-- out:  how many rows were deleted
-- walks: pgqueue_firing_fired, pgqueue_audit_at and pgqueue_recent_until from their beginnings; the primary key of those that fired within the last hour
-- trap: the watermark, not this history, keeps an instant from firing again.
SELECT json_group_array(json_array(schedule, instant)) AS ":old"
FROM (
    SELECT schedule, instant
    FROM pgqueue_firing
    WHERE fired_at < :now - CAST(:days * 86400000000 AS INTEGER)
    ORDER BY fired_at
    LIMIT CAST(:limit AS INTEGER)
);

SELECT json_group_array(json_array(schedule, instant)) AS ":beyond"
FROM (
    SELECT f.schedule, f.instant
    FROM (SELECT DISTINCT schedule FROM pgqueue_firing WHERE fired_at > :now - 3600000000) AS s
    CROSS JOIN pgqueue_firing AS f ON f.schedule = s.schedule
    WHERE f.instant <= (SELECT o.instant FROM pgqueue_firing AS o
                        WHERE o.schedule = s.schedule ORDER BY o.instant DESC LIMIT 1 OFFSET CAST(:most AS INTEGER))
    LIMIT CAST(:limit AS INTEGER)
);

DELETE FROM pgqueue_firing
WHERE (schedule, instant) IN (
    SELECT value ->> '$[0]', value ->> '$[1]' FROM json_each(:old)
    UNION
    SELECT value ->> '$[0]', value ->> '$[1]' FROM json_each(:beyond));

SELECT changes() AS ":gone";

DELETE FROM pgqueue_recent
WHERE key IN (SELECT key FROM pgqueue_recent WHERE until <= :now ORDER BY until LIMIT CAST(:limit AS INTEGER));

SELECT changes() AS ":free";

DELETE FROM pgqueue_audit
WHERE id IN (SELECT id FROM pgqueue_audit
             WHERE :audit_days IS NOT NULL AND at < :now - CAST(:audit_days * 86400000000 AS INTEGER)
             ORDER BY at
             LIMIT CAST(:limit AS INTEGER));

SELECT :gone + :free + changes();
