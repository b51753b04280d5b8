-- record: notes the outcome of firings, once their jobs are known.
--
-- in:   firings JSON array of {schedule, instant, job, outcome}; instant is microseconds since 1970
-- out:  nothing
-- walks: the primary key
UPDATE pgqueue_firing AS f
SET job_id = g.value ->> '$.job', outcome = g.value ->> '$.outcome'
FROM json_each(:firings) AS g
WHERE f.schedule = g.value ->> '$.schedule' AND f.instant = g.value ->> '$.instant';
