-- recollect: all that the store holds for a worker, who looks whether it knows of each.
--
-- in:   worker integer
-- out:  id, lease
-- trap: reads the live table once, as recall does: lease columns have no index. Ask seldom, and not on
--       the line that says that one lives.
SELECT id, lease
FROM pgqueue.job
WHERE state = 'running' AND worker = :worker::integer;
