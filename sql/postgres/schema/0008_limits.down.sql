-- 0008_limits, undone.

DO $index$
BEGIN
    IF to_regclass('pgqueue.job_claim') IS NULL THEN
        CREATE INDEX job_claim ON pgqueue.job (queue, priority, position) WHERE state = 'available';
    END IF;
END
$index$;
DROP INDEX IF EXISTS pgqueue.job_plain, pgqueue.job_turn;
ALTER TABLE pgqueue.job DROP COLUMN permit;
DROP SEQUENCE pgqueue.permit;
DROP TABLE pgqueue.start;
DROP TABLE pgqueue.queue_key;
ALTER TABLE pgqueue.queue DROP COLUMN limits, DROP COLUMN declared, DROP COLUMN changes;

DELETE FROM pgqueue.migration WHERE version = '0008';
