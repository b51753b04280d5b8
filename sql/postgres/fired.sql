-- fired: records that instants of schedules are dealt with, each once, however often it is called.
--
-- in:   firings JSON array of {schedule, instant, outcome}; instant is microseconds since 1970, null for now
--       keys    JSON array of unique keys
--       now
-- out:  schedule, instant as text of each that nobody had dealt with before; then unique_key, id, state of each key's holder
-- walks: the primary key, in its order; job_unique
INSERT INTO pgqueue.firing AS f (schedule, instant, outcome, fired_at)
SELECT g.schedule, coalesce('epoch'::timestamptz + g.instant * interval '1 microsecond', coalesce(:now::timestamptz, clock_timestamp())),
       g.outcome, coalesce(:now::timestamptz, clock_timestamp())
FROM jsonb_to_recordset(:firings::jsonb) AS g(schedule text, instant bigint, outcome text)
ORDER BY g.schedule, g.instant
ON CONFLICT (schedule, instant) DO NOTHING
RETURNING f.schedule, to_jsonb(f.instant) #>> '{}';

SELECT j.unique_key, j.id, j.state
FROM pgqueue.job AS j
WHERE j.unique_key = ANY (ARRAY(SELECT jsonb_array_elements_text(:keys::jsonb)));
