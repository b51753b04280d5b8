-- 0012_asked: what somebody asks of a worker: to claim nothing more, or to stop.

ALTER TABLE pgqueue.worker
    ADD COLUMN asked text,
    ADD CONSTRAINT worker_asked CHECK (asked IN ('quiet', 'stop'));
COMMENT ON COLUMN pgqueue.worker.asked IS
    'quiet: claim nothing more; stop: finish what runs, and end. The worker reads it with each sign of life, and is notified.';

INSERT INTO pgqueue.migration (version) VALUES ('0012');
