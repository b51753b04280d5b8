-- get: jobs by id, live or finished.
--
-- in:   ids   JSON array of job ids
-- out:  one JSON document a job, as the view pgqueue_jobs shows it, with begun: true of one that has a permit, and so
--       holds its key if its queue is ordered; a missing one never existed, or is past its retention
SELECT CASE WHEN (SELECT own.permit FROM pgqueue_job AS own WHERE own.id = live.id) IS NULL THEN document
            ELSE json_insert(document, '$.begun', json('true')) END
FROM pgqueue_live_document AS live
WHERE id IN (SELECT value FROM json_each(:ids))
UNION ALL
SELECT document FROM pgqueue_past_document WHERE id IN (SELECT value FROM json_each(:ids));
