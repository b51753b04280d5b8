-- fired: records that instants of schedules are dealt with, each once, however often it is called.
--
-- in:   firings JSON array of {schedule, instant, outcome}; instant is microseconds since 1970, null for now
--       keys    JSON array of unique keys
--       now
-- out:  schedule, instant as text of each that nobody had dealt with before; then unique_key, id, state of each key's holder
-- walks: the primary key; pgqueue_job_unique
INSERT INTO pgqueue_firing (schedule, instant, outcome, fired_at)
SELECT value ->> '$.schedule', coalesce(value ->> '$.instant', :now), value ->> '$.outcome', :now
FROM json_each(:firings)
WHERE true
ON CONFLICT (schedule, instant) DO NOTHING
RETURNING schedule, strftime('%Y-%m-%dT%H:%M:%S', instant / 1000000, 'unixepoch') || printf('.%06dZ', instant % 1000000);

SELECT unique_key, id, state
FROM pgqueue_job
WHERE unique_key IN (SELECT value FROM json_each(:keys));
