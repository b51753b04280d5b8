-- get: jobs by id, live or finished.
--
-- in:   ids   JSON array of job ids
-- out:  one JSON document a job, as the view pgqueue_jobs shows it; a missing one never existed, or is past
--       its retention
SELECT document FROM pgqueue_live_document WHERE id IN (SELECT value FROM json_each(:ids))
UNION ALL
SELECT document FROM pgqueue_past_document WHERE id IN (SELECT value FROM json_each(:ids));
