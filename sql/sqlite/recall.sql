-- recall: the jobs of a claim whose answer never came.
--
-- in:   worker integer · lease integer, the claim's · now
-- out:  as claim
-- trap: reads the live table once: lease columns have no index, as answers are seldom lost.
SELECT id, priority, position, attempt, task, args, max_attempts, timeout_seconds, run_at / 1000000.0,
       rescues, progress, metadata, tags AS "tags[]", workflow, queue, key,
       (expires_at - :now) / 1000000.0 AS expires_in
FROM pgqueue_job
WHERE state = 'running' AND worker = CAST(:worker AS INTEGER) AND lease = CAST(:lease AS INTEGER);
