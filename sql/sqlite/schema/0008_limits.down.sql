-- 0008_limits, undone.

DROP INDEX pgqueue_job_claim;
CREATE INDEX pgqueue_job_claim ON pgqueue_job (queue, priority, position) WHERE state = 'available';
DROP INDEX pgqueue_job_permit;
ALTER TABLE pgqueue_job DROP COLUMN permit;
DELETE FROM pgqueue_sequence WHERE name = 'permit';
DROP TABLE pgqueue_start;
DROP TABLE pgqueue_queue_key;
ALTER TABLE pgqueue_queue DROP COLUMN limits;
ALTER TABLE pgqueue_queue DROP COLUMN declared;
ALTER TABLE pgqueue_queue DROP COLUMN changes;

DELETE FROM pgqueue_migration WHERE version = '0008';
