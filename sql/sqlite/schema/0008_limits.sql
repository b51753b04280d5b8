-- 0008_limits: queues have limits, and jobs with keys are served key by key, in turn.

-- *limits*: what a queue allows now. *declared*: what code declared last. *changes*: what people have changed since.
-- JSON objects of {concurrency, rate: [n, seconds], key_concurrency, key_rate, ordered}; NULL: no limits.
ALTER TABLE pgqueue_queue ADD COLUMN limits TEXT;
ALTER TABLE pgqueue_queue ADD COLUMN declared TEXT;
ALTER TABLE pgqueue_queue ADD COLUMN changes TEXT;

-- Keys with limits of their own: {concurrency, rate, weight}.
CREATE TABLE pgqueue_queue_key (
    queue  TEXT NOT NULL,
    key    TEXT NOT NULL,
    limits TEXT NOT NULL,
    PRIMARY KEY (queue, key)
) WITHOUT ROWID;

-- How many attempts began at which instant, in queues and keys that have a rate, within its last period. Key '' is the
-- queue as a whole.
CREATE TABLE pgqueue_start (
    queue TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    at    INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (queue, key, at)
) WITHOUT ROWID;

-- *permit*: an ascending number that a job gets when it is claimed in a queue with limits. Running jobs that have one
-- count against the limit.
ALTER TABLE pgqueue_job ADD COLUMN permit INTEGER;
CREATE INDEX pgqueue_job_permit ON pgqueue_job (queue, key, permit) WHERE permit IS NOT NULL;
INSERT INTO pgqueue_sequence (name, value) VALUES ('permit', 0);

-- The order of a queue is now kept key by key. The index keeps its old name, because statements of workers of the
-- version before name it: they find the same jobs, by a longer way.
DROP INDEX pgqueue_job_claim;
CREATE INDEX pgqueue_job_claim ON pgqueue_job (queue, key, priority, position) WHERE state = 'available';

INSERT INTO pgqueue_migration (version) VALUES ('0008');
