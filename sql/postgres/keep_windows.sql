-- keep_windows: unique keys of another store hold here until the same instant.
--
-- in:   source  text: the other store's store_id
--       windows JSON array of {key, job, until}: the job's id there, microseconds since 1970; each key once
--       now
-- out:  key of each that holds here by this call
-- trap: call this before the jobs are copied, or others could enqueue with their keys meanwhile: a job that is not here
--       yet, and may never come, has its id here already. A key that holds here already stays as it is.
INSERT INTO pgqueue.copied (source, source_id, id, here)
SELECT :source::text, w.job, nextval('pgqueue.job_id'), false
FROM (
    SELECT DISTINCT w.job
    FROM jsonb_to_recordset(:windows::jsonb) AS w(job bigint, until bigint)
    WHERE 'epoch'::timestamptz + w.until * interval '1 microsecond' > coalesce(:now::timestamptz, clock_timestamp())
    ORDER BY w.job
) AS w
ON CONFLICT DO NOTHING;

INSERT INTO pgqueue.recent AS r (key, job_id, until)
SELECT w.key, c.id, 'epoch'::timestamptz + w.until * interval '1 microsecond'
FROM jsonb_to_recordset(:windows::jsonb) AS w(key text, job bigint, until bigint)
CROSS JOIN LATERAL (
    SELECT c.id FROM pgqueue.copied AS c WHERE c.source = :source::text AND c.source_id = w.job OFFSET 0) AS c
WHERE 'epoch'::timestamptz + w.until * interval '1 microsecond' > coalesce(:now::timestamptz, clock_timestamp())
ORDER BY w.key
ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, until = excluded.until
WHERE r.until <= coalesce(:now::timestamptz, clock_timestamp())
RETURNING r.key;
