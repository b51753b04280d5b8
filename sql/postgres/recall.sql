-- recall: the jobs of a claim whose answer never came, because the connection broke.
--
-- in:   worker integer · lease bigint, the claim's
-- out:  as claim
-- trap: reads the live table once: lease columns have no index, as broken connections are few.
SELECT id, priority, position, attempt, task, args::text, max_attempts, timeout_seconds,
       date_part('epoch', run_at), rescues, progress::text, metadata::text, tags, workflow, queue, key,
       extract(epoch FROM expires_at - clock_timestamp())::float8 AS expires_in
FROM pgqueue.job
WHERE state = 'running' AND worker = :worker::integer AND lease = :lease::bigint;
