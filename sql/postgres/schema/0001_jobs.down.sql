-- 0001_jobs, undone: all jobs, live and finished, are lost.
--
-- Whoever runs this also drops the schema, unless something else is in it.

DROP VIEW pgqueue.jobs;
DROP FUNCTION pgqueue.enqueue;
DROP FUNCTION pgqueue.link;
DROP FUNCTION pgqueue.hold;
DROP FUNCTION pgqueue.drop_partition;
DROP FUNCTION pgqueue.add_partition;
DROP FUNCTION pgqueue.wake;
DROP FUNCTION pgqueue.asleep;
DROP TABLE pgqueue.job, pgqueue.archive, pgqueue.dependency, pgqueue.workflow, pgqueue.queue,
    pgqueue.worker, pgqueue.leader, pgqueue.copied, pgqueue.migration;
DROP SEQUENCE pgqueue.job_id, pgqueue.position, pgqueue.lease, pgqueue.worker_id;
