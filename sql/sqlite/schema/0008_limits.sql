-- 0008_limits: queues have limits, and jobs with keys are served key by key, in turn.

-- What a queue allows, what code last said, and what was changed since by hand: JSON objects of {concurrency, rate:
-- [n, seconds], key_concurrency, key_rate, ordered}. No limits: NULL.
ALTER TABLE pgqueue_queue ADD COLUMN limits TEXT;
ALTER TABLE pgqueue_queue ADD COLUMN declared TEXT;
ALTER TABLE pgqueue_queue ADD COLUMN changes TEXT;

-- Keys that are not treated as the others of their queue: {concurrency, rate, weight}.
CREATE TABLE pgqueue_queue_key (
    queue  TEXT NOT NULL,
    key    TEXT NOT NULL,
    limits TEXT NOT NULL,
    PRIMARY KEY (queue, key)
) WITHOUT ROWID;

-- How many attempts began at which instant, in queues and keys that have a rate: those of the last period. Key '' is the
-- queue as a whole.
CREATE TABLE pgqueue_start (
    queue TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    at    INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (queue, key, at)
) WITHOUT ROWID;

-- A job that was claimed in a queue with limits has a number, which ascends. What is counted against a limit are the rows
-- that have one and run.
ALTER TABLE pgqueue_job ADD COLUMN permit INTEGER;
CREATE INDEX pgqueue_job_permit ON pgqueue_job (queue, key, permit) WHERE permit IS NOT NULL;
INSERT INTO pgqueue_sequence (name, value) VALUES ('permit', 0);

-- The order of a queue is now that of each of its keys. Under its old name, by which workers of the version before ask for
-- it: theirs find the same jobs, by a longer way.
DROP INDEX pgqueue_job_claim;
CREATE INDEX pgqueue_job_claim ON pgqueue_job (queue, key, priority, position) WHERE state = 'available';

INSERT INTO pgqueue_migration (version) VALUES ('0008');
