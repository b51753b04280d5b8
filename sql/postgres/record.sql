-- record: notes the outcome of firings, once their jobs are known.
--
-- in:   firings JSON array of {schedule, instant, job, outcome}; instant is microseconds since 1970
-- out:  nothing
-- walks: the primary key
UPDATE pgqueue.firing AS f
SET job_id = g.job, outcome = g.outcome
FROM jsonb_to_recordset(:firings::jsonb) AS g(schedule text, instant bigint, job bigint, outcome text)
WHERE f.schedule = ANY (ARRAY[g.schedule])
  AND f.instant = ANY (ARRAY['epoch'::timestamptz + g.instant * interval '1 microsecond']);
