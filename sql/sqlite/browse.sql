-- browse: a page of the jobs that a filter matches, in brief, in one of three orders.
--
-- in:   order    newest: by id, downwards · due: scheduled and retryable ones by run_at · next: of one queue, as claimed
--       states, queue, task, tag, key, error, workflow, args, older_seconds, newer_seconds, running_seconds  as for choose
--       after, after_priority, after_at  where the page before ended: its last job's id or position, priority, run_at
--       limit    integer: return at most so many jobs · look integer: read at most so many rows
--       trace    integer or null: the last so many characters of the last traceback, without the error's text
--       now
-- out:  a JSON document for each job; then a row without one: null, how many rows were read, and the place of the last
--       of them, or null when there are no more
-- walks: both primary keys from their ends; pgqueue_job_due; pgqueue_job_claim, by leaps from one key of the queue to the next
-- trap: as choose: reads at most *look* rows, whatever the filter is.
WITH RECURSIVE keys(key, n) AS (
    SELECT (SELECT min(j.key) FROM pgqueue_job AS j
            WHERE :order = 'next' AND j.state = 'available' AND j.queue = :queue AND (:key IS NULL OR j.key = :key)), 1
    UNION ALL
    SELECT (SELECT min(j.key) FROM pgqueue_job AS j
            WHERE j.state = 'available' AND j.queue = :queue AND j.key > keys.key), keys.n + 1
    FROM keys
    WHERE keys.key IS NOT NULL AND keys.n < 20 AND :key IS NULL
), looked AS MATERIALIZED (
    SELECT row_number() OVER () AS n, *
    FROM (
        SELECT * FROM (
            SELECT id, queue, priority, position, state, task, args, attempt, max_attempts, rescues, run_at, enqueued_at,
                   claimed_at, NULL AS finished_at, worker, coalesce(unique_key, next_key) AS unique_key, key, blocked_by, cancel_requested,
                   reason, errors, tags, workflow
            FROM pgqueue_job
            WHERE :order = 'newest' AND id < coalesce(CAST(:after AS INTEGER), 9007199254740993)
              AND EXISTS (SELECT 1 FROM json_each(:states) WHERE value NOT IN ('completed', 'cancelled', 'discarded'))
            UNION ALL
            SELECT id, queue, priority, NULL, state, task, args, attempt, max_attempts, rescues, run_at, enqueued_at,
                   claimed_at, finished_at, worker, unique_key, key, 0, 0, reason, errors, tags, workflow
            FROM pgqueue_archive
            WHERE :order = 'newest' AND id < coalesce(CAST(:after AS INTEGER), 9007199254740993)
              AND EXISTS (SELECT 1 FROM json_each(:states) WHERE value IN ('completed', 'cancelled', 'discarded'))
            ORDER BY id DESC
            LIMIT CAST(:look AS INTEGER))
        UNION ALL
        SELECT * FROM (
            SELECT id, queue, priority, position, state, task, args, attempt, max_attempts, rescues, run_at, enqueued_at,
                   claimed_at, NULL, worker, coalesce(unique_key, next_key), key, blocked_by, cancel_requested, reason, errors, tags, workflow
            FROM pgqueue_job
            WHERE :order = 'due' AND state IN ('scheduled', 'retryable')
              AND run_at >= coalesce(CAST(:after_at AS INTEGER), -9223372036854775807)
              AND (:after_at IS NULL OR (run_at, id) > (CAST(:after_at AS INTEGER), CAST(:after AS INTEGER)))
            ORDER BY run_at, id
            LIMIT CAST(:look AS INTEGER))
        UNION ALL
        SELECT * FROM (
            SELECT id, queue, priority, position, state, task, args, attempt, max_attempts, rescues, run_at, enqueued_at,
                   claimed_at, NULL, worker, coalesce(unique_key, next_key), key, blocked_by, cancel_requested, reason, errors, tags, workflow
            FROM pgqueue_job AS j
            WHERE :order = 'next' AND j.state = 'available' AND j.queue = :queue
              AND j.key IN (SELECT key FROM keys WHERE key IS NOT NULL)
              AND (:after IS NULL
                   OR (j.priority, j.position) > (CAST(:after_priority AS INTEGER), CAST(:after AS INTEGER)))
            ORDER BY j.priority, j.position
            LIMIT CAST(:limit AS INTEGER))
    )
), found AS MATERIALIZED (
    SELECT *
    FROM (SELECT *, coalesce(finished_at, enqueued_at) AS since FROM looked) AS l
    WHERE
        -- include: filter_matches
    ORDER BY n
    LIMIT CAST(:limit AS INTEGER)
), last AS (
    SELECT l.id, l.position, l.priority, l.run_at
    FROM looked AS l
    WHERE l.n = CASE WHEN (SELECT count(*) FROM found) = CAST(:limit AS INTEGER) THEN (SELECT max(n) FROM found)
                     WHEN :order <> 'next' AND (SELECT count(*) FROM looked) = CAST(:look AS INTEGER)
                         THEN (SELECT count(*) FROM looked) END
)
SELECT json_object(
           'id', id, 'queue', queue, 'priority', priority, 'position', position, 'state', state, 'task', task,
           'attempt', attempt, 'max_attempts', max_attempts, 'rescues', rescues,
           'run_at', strftime('%Y-%m-%dT%H:%M:%S', run_at / 1000000 - (run_at % 1000000 < 0), 'unixepoch')
               || printf('.%06dZ', (run_at % 1000000 + 1000000) % 1000000),
           'enqueued_at', strftime('%Y-%m-%dT%H:%M:%S', enqueued_at / 1000000, 'unixepoch') || printf('.%06dZ', enqueued_at % 1000000),
           'claimed_at', strftime('%Y-%m-%dT%H:%M:%S', claimed_at / 1000000, 'unixepoch') || printf('.%06dZ', claimed_at % 1000000),
           'finished_at', strftime('%Y-%m-%dT%H:%M:%S', finished_at / 1000000, 'unixepoch') || printf('.%06dZ', finished_at % 1000000),
           'worker', worker, 'unique_key', unique_key, 'key', nullif(key, ''), 'blocked_by', blocked_by,
           'cancel_requested', json(iif(cancel_requested, 'true', 'false')), 'reason', reason, 'tags', json(tags),
           'workflow', workflow, 'args', substr(args, 1, 200), 'error_type', errors ->> '$[#-1].type',
           'error_message', substr(errors ->> '$[#-1].message', 1, 200), 'error_at', errors ->> '$[#-1].at',
           'error_trace', substr(substr(errors ->> '$[#-1].traceback', 1,
                                        max(length(errors ->> '$[#-1].traceback') - length(errors ->> '$[#-1].message'), 0)),
                                 -CAST(:trace AS INTEGER))),
       NULL, NULL, NULL, NULL
FROM found
UNION ALL
SELECT NULL,
       iif((SELECT count(*) FROM found) = CAST(:limit AS INTEGER), (SELECT max(n) FROM found), (SELECT count(*) FROM looked)),
       (SELECT iif(:order = 'next', position, id) FROM last), (SELECT priority FROM last), (SELECT CAST(run_at AS TEXT) FROM last);
