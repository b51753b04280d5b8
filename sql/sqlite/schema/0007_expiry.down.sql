-- 0007_expiry, undone.

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
       NULL AS finished_at, worker, lease, timeout_seconds, unique_key, blocked_by, cancel_requested, reason,
       NULL AS result, errors, progress, metadata, tags, workflow, NULL AS cause, nullif(key, '') AS key
FROM pgqueue_job;

CREATE VIEW pgqueue_past AS
SELECT id, queue, priority, NULL AS position, state, task, args, attempt, max_attempts, rescues,
       strftime('%Y-%m-%dT%H:%M:%S', run_at / 1000000 - (run_at % 1000000 < 0), 'unixepoch')
           || printf('.%06dZ', (run_at % 1000000 + 1000000) % 1000000) AS run_at,
       strftime('%Y-%m-%dT%H:%M:%S', enqueued_at / 1000000, 'unixepoch') || printf('.%06dZ', enqueued_at % 1000000) AS enqueued_at,
       strftime('%Y-%m-%dT%H:%M:%S', claimed_at / 1000000, 'unixepoch') || printf('.%06dZ', claimed_at % 1000000) AS claimed_at,
       strftime('%Y-%m-%dT%H:%M:%S', finished_at / 1000000, 'unixepoch') || printf('.%06dZ', finished_at % 1000000) AS finished_at,
       worker, lease, timeout_seconds, unique_key, 0 AS blocked_by, 0 AS cancel_requested, reason, result, errors,
       progress, metadata, tags, workflow, cause, nullif(key, '') AS key
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
           'metadata', json(metadata), 'tags', json(tags), 'workflow', workflow, 'cause', cause, 'key', key) AS document
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
           'metadata', json(metadata), 'tags', json(tags), 'workflow', workflow, 'cause', cause, 'key', key) AS document
FROM pgqueue_past;

DROP INDEX pgqueue_job_expires;

ALTER TABLE pgqueue_job DROP COLUMN expires_at;
ALTER TABLE pgqueue_job DROP COLUMN keep;

DELETE FROM pgqueue_migration WHERE version = '0007';
