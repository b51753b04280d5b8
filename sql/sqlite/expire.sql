-- expire: cancels waiting jobs that may not begin an attempt any more, the longest expired first.
--
-- in:   limit, skip  integers: at most so many, after skipping so many
--       keep, now    as for complete
-- out:  count, next_seconds: how many expired; the seconds until the next one does (0: more have already; NULL: none will)
-- then: parts/archive, parts/settle
-- walks: pgqueue_job_expires from its beginning; no sort
SELECT json_group_array(json_object('id', id, 'state', 'cancelled', 'reason',
           'expired: no attempt was to begin after ' || strftime('%Y-%m-%dT%H:%M:%S', expires_at / 1000000, 'unixepoch')
               || printf('.%06dZ', expires_at % 1000000))) AS ":ending"
FROM (
    SELECT id, expires_at
    FROM pgqueue_job
    WHERE expires_at IS NOT NULL AND state <> 'running' AND expires_at < :now
    ORDER BY expires_at
    LIMIT CAST(:limit AS INTEGER) OFFSET CAST(:skip AS INTEGER)
);

SELECT json_array_length(:ending),
       CASE WHEN json_array_length(:ending) >= CAST(:limit AS INTEGER) THEN 0.0
            ELSE (SELECT (expires_at - :now) / 1000000.0
                  FROM pgqueue_job
                  WHERE expires_at IS NOT NULL AND state <> 'running' AND expires_at >= :now
                  ORDER BY expires_at
                  LIMIT 1) END;
