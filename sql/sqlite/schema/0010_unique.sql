-- 0010_unique: until when a unique key holds, and what happens to the next job that has it; the view says when a job is due.

-- A unique key has two columns, each with a unique index: unique_key and next_key. A job that is the only unfinished
-- one of its key has it in both. A job that begins to wait behind a running one takes over next_key.
ALTER TABLE pgqueue_job ADD COLUMN next_key TEXT;
CREATE UNIQUE INDEX pgqueue_job_next ON pgqueue_job (next_key) WHERE next_key IS NOT NULL;

-- Keys that hold for a time, whatever happens to the job.
CREATE TABLE pgqueue_recent (
    key    TEXT    NOT NULL PRIMARY KEY,
    job_id INTEGER NOT NULL,
    until  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX pgqueue_recent_until ON pgqueue_recent (until);

DROP VIEW pgqueue_past_document;
DROP VIEW pgqueue_live_document;
DROP VIEW pgqueue_jobs;
DROP VIEW pgqueue_past;
DROP VIEW pgqueue_live;

CREATE VIEW pgqueue_live AS
SELECT id, queue, priority, position, state, task, args, attempt, max_attempts, rescues,
       strftime('%Y-%m-%dT%H:%M:%S', run_at / 1000000 - (run_at % 1000000 < 0), 'unixepoch')
           || printf('.%06dZ', (run_at % 1000000 + 1000000) % 1000000) AS run_at,
       strftime('%Y-%m-%dT%H:%M:%S', enqueued_at / 1000000, 'unixepoch') || printf('.%06dZ', enqueued_at % 1000000) AS enqueued_at,
       strftime('%Y-%m-%dT%H:%M:%S', claimed_at / 1000000, 'unixepoch') || printf('.%06dZ', claimed_at % 1000000) AS claimed_at,
       NULL AS finished_at, worker, lease, timeout_seconds, coalesce(unique_key, next_key) AS unique_key,
       blocked_by, cancel_requested, reason, NULL AS result, errors, progress, metadata, tags, workflow, NULL AS cause, nullif(key, '') AS key,
       strftime('%Y-%m-%dT%H:%M:%S', expires_at / 1000000, 'unixepoch') || printf('.%06dZ', expires_at % 1000000) AS expires_at, keep,
       strftime('%Y-%m-%dT%H:%M:%S', coalesce(due_at, run_at) / 1000000 - (coalesce(due_at, run_at) % 1000000 < 0), 'unixepoch')
           || printf('.%06dZ', (coalesce(due_at, run_at) % 1000000 + 1000000) % 1000000) AS due_at
FROM pgqueue_job;

CREATE VIEW pgqueue_past AS
SELECT id, queue, priority, NULL AS position, state, task, args, attempt, max_attempts, rescues,
       strftime('%Y-%m-%dT%H:%M:%S', run_at / 1000000 - (run_at % 1000000 < 0), 'unixepoch')
           || printf('.%06dZ', (run_at % 1000000 + 1000000) % 1000000) AS run_at,
       strftime('%Y-%m-%dT%H:%M:%S', enqueued_at / 1000000, 'unixepoch') || printf('.%06dZ', enqueued_at % 1000000) AS enqueued_at,
       strftime('%Y-%m-%dT%H:%M:%S', claimed_at / 1000000, 'unixepoch') || printf('.%06dZ', claimed_at % 1000000) AS claimed_at,
       strftime('%Y-%m-%dT%H:%M:%S', finished_at / 1000000, 'unixepoch') || printf('.%06dZ', finished_at % 1000000) AS finished_at,
       worker, lease, timeout_seconds, unique_key, 0 AS blocked_by, 0 AS cancel_requested, reason, result, errors,
       progress, metadata, tags, workflow, cause, nullif(key, '') AS key, NULL AS expires_at, NULL AS keep,
       strftime('%Y-%m-%dT%H:%M:%S', run_at / 1000000 - (run_at % 1000000 < 0), 'unixepoch')
           || printf('.%06dZ', (run_at % 1000000 + 1000000) % 1000000) AS due_at
FROM pgqueue_archive;

CREATE VIEW pgqueue_jobs AS
SELECT * FROM pgqueue_live UNION ALL SELECT * FROM pgqueue_past;

-- The same for programs: one JSON document a job, beside columns to search by.
CREATE VIEW pgqueue_live_document AS
SELECT id, state, queue, task, tags, workflow,
       json_object(
           'id', id, 'queue', queue, 'priority', priority, 'position', position, 'state', state, 'task', task,
           'args', json(args), 'attempt', attempt, 'max_attempts', max_attempts, 'rescues', rescues,
           'run_at', run_at, 'enqueued_at', enqueued_at, 'claimed_at', claimed_at, 'finished_at', finished_at,
           'worker', worker, 'lease', lease, 'timeout_seconds', timeout_seconds, 'unique_key', unique_key,
           'blocked_by', blocked_by, 'cancel_requested', json(iif(cancel_requested, 'true', 'false')),
           'reason', reason, 'result', json(result), 'errors', json(errors), 'progress', json(progress),
           'metadata', json(metadata), 'tags', json(tags), 'workflow', workflow, 'cause', cause, 'key', key,
           'expires_at', expires_at, 'keep', json(CASE keep WHEN 1 THEN 'true' WHEN 0 THEN 'false' END), 'due_at', due_at) AS document
FROM pgqueue_live;

CREATE VIEW pgqueue_past_document AS
SELECT id, state, queue, task, tags, workflow,
       json_object(
           'id', id, 'queue', queue, 'priority', priority, 'position', position, 'state', state, 'task', task,
           'args', json(args), 'attempt', attempt, 'max_attempts', max_attempts, 'rescues', rescues,
           'run_at', run_at, 'enqueued_at', enqueued_at, 'claimed_at', claimed_at, 'finished_at', finished_at,
           'worker', worker, 'lease', lease, 'timeout_seconds', timeout_seconds, 'unique_key', unique_key,
           'blocked_by', blocked_by, 'cancel_requested', json(iif(cancel_requested, 'true', 'false')),
           'reason', reason, 'result', json(result), 'errors', json(errors), 'progress', json(progress),
           'metadata', json(metadata), 'tags', json(tags), 'workflow', workflow, 'cause', cause, 'key', key,
           'due_at', due_at) AS document
FROM pgqueue_past;

INSERT INTO pgqueue_migration (version) VALUES ('0010');
