-- result: how a job ended, for callers that wait for its result.
--
-- in:   id   integer
-- out:  task, state, result, reason, the last error; no row when there is no such job
SELECT task, state, NULL, reason, errors -> '$[#-1]' FROM pgqueue_job WHERE id = CAST(:id AS INTEGER)
UNION ALL
SELECT task, state, result, reason, errors -> '$[#-1]' FROM pgqueue_archive WHERE id = CAST(:id AS INTEGER);
