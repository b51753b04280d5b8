-- due: schedules whose next instant has come, the longest due first, or must still be computed.
--
-- in:   limit integer · now
-- out:  document JSON, null, null of each; then null, the clock as text, and the seconds until the next one is due, null
--       when there is none
-- walks: pgqueue_schedule_due from its beginning; no sort
SELECT document, NULL, NULL
FROM (
    SELECT document
    FROM pgqueue_schedule_document
    WHERE paused_at IS NULL AND retired_at IS NULL AND next_at IS NULL
    LIMIT CAST(:limit AS INTEGER)
)
UNION ALL
SELECT document, NULL, NULL
FROM (
    SELECT document
    FROM pgqueue_schedule_document
    WHERE paused_at IS NULL AND retired_at IS NULL AND next_at <= :now
    ORDER BY next_at
    LIMIT CAST(:limit AS INTEGER)
)
UNION ALL
SELECT NULL, strftime('%Y-%m-%dT%H:%M:%S', :now / 1000000, 'unixepoch') || printf('.%06dZ', :now % 1000000),
       (SELECT (next_at - :now) / 1000000.0
        FROM pgqueue_schedule
        WHERE paused_at IS NULL AND retired_at IS NULL AND next_at > :now
        ORDER BY next_at
        LIMIT 1);
