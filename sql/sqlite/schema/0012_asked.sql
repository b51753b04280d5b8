-- 0012_asked: what somebody asks of a worker: to claim nothing more, or to stop. It reads that with each sign of life.

ALTER TABLE pgqueue_worker ADD COLUMN asked TEXT CHECK (asked IN ('quiet', 'stop'));

INSERT INTO pgqueue_migration (version) VALUES ('0012');
