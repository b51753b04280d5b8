-- result: how a job ended, for callers that wait for its result.
--
-- in:   id   bigint
-- out:  task, state, result, reason, the last error; no row when there is no such job
SELECT task, state, NULL, reason, (errors -> -1)::text FROM pgqueue.job WHERE id = :id::bigint
UNION ALL
SELECT task, state, result::text, reason, (errors -> -1)::text FROM pgqueue.archive WHERE id = :id::bigint;
