-- get: jobs by id, live or finished.
--
-- in:   ids   JSON array of job ids
-- out:  one JSON document a job, as the view pgqueue.jobs shows it, with begun: true of one that has a permit, and so
--       holds its key if its queue is ordered; a missing one never existed, or is past its retention
SELECT (to_jsonb(j) || jsonb_build_object('begun', (
           SELECT true FROM pgqueue.job AS own WHERE own.id = j.id AND own.permit IS NOT NULL)))::text
FROM pgqueue.jobs AS j
WHERE j.id = ANY (ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint));
