-- get: jobs by id, live or finished.
--
-- in:   ids   JSON array of job ids
-- out:  one JSON document a job, as the view pgqueue.jobs shows it; a missing one never existed, or is past
--       its retention
SELECT to_jsonb(j)::text
FROM pgqueue.jobs AS j
WHERE j.id = ANY (ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint));
