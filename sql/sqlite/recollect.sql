-- recollect: all jobs that the store holds for a worker; the worker checks that it knows each of them.
--
-- in:   worker integer
-- out:  id, lease
-- trap: reads the live table once, as recall does: lease columns have no index. Ask seldom.
SELECT id, lease
FROM pgqueue_job
WHERE state = 'running' AND worker = CAST(:worker AS INTEGER);
