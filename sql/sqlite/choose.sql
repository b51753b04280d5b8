-- choose: the jobs that a filter matches, a portion at a time, in the order of their ids.
--
-- in:   states   JSON array: only jobs in one of these
--       queue, task, tag, key, error  text or null: only these; error is the type of the last error
--       workflow integer or null · args JSON object or null: the job's arguments contain these
--       older_seconds, newer_seconds  or null: since the job ended; for one that has not ended, since it was enqueued
--       running_seconds  or null: the job runs, and was claimed at least so long ago
--       newest   boolean: go downwards, from the newest
--       after    integer: only ids above it · until integer or null: only ids up to it; null: up to the newest id now
--       limit    integer: return at most so many jobs · look integer: read at most so many rows
--       now
-- out:  id, state, lease, worker of each job; then a row without an id: null, null, the last id that was read,
--       or null when there are no more, until
-- walks: both primary keys, from one end
-- trap: reads at most *look* rows, whatever the filter is: so the cost of a portion is known beforehand.
WITH looked AS MATERIALIZED (
    SELECT *
    FROM (
        SELECT * FROM (
            SELECT id, state, lease, worker, queue, task, tags, key, workflow, args, errors, claimed_at, enqueued_at AS since
            FROM pgqueue_job
            WHERE :newest = 'false' AND id > CAST(:after AS INTEGER)
              AND id <= coalesce(CAST(:until AS INTEGER), 9007199254740992)
              AND EXISTS (SELECT 1 FROM json_each(:states) WHERE value NOT IN ('completed', 'cancelled', 'discarded'))
            ORDER BY id
            LIMIT CAST(:look AS INTEGER))
        UNION ALL
        SELECT * FROM (
            SELECT id, state, lease, worker, queue, task, tags, key, workflow, args, errors, claimed_at, enqueued_at
            FROM pgqueue_job
            WHERE :newest = 'true' AND id > CAST(:after AS INTEGER)
              AND id <= coalesce(CAST(:until AS INTEGER), 9007199254740992)
              AND EXISTS (SELECT 1 FROM json_each(:states) WHERE value NOT IN ('completed', 'cancelled', 'discarded'))
            ORDER BY id DESC
            LIMIT CAST(:look AS INTEGER))
        UNION ALL
        SELECT * FROM (
            SELECT id, state, NULL, NULL, queue, task, tags, key, workflow, args, errors, claimed_at, finished_at
            FROM pgqueue_archive
            WHERE :newest = 'false' AND id > CAST(:after AS INTEGER)
              AND id <= coalesce(CAST(:until AS INTEGER), 9007199254740992)
              AND EXISTS (SELECT 1 FROM json_each(:states) WHERE value IN ('completed', 'cancelled', 'discarded'))
            ORDER BY id
            LIMIT CAST(:look AS INTEGER))
        UNION ALL
        SELECT * FROM (
            SELECT id, state, NULL, NULL, queue, task, tags, key, workflow, args, errors, claimed_at, finished_at
            FROM pgqueue_archive
            WHERE :newest = 'true' AND id > CAST(:after AS INTEGER)
              AND id <= coalesce(CAST(:until AS INTEGER), 9007199254740992)
              AND EXISTS (SELECT 1 FROM json_each(:states) WHERE value IN ('completed', 'cancelled', 'discarded'))
            ORDER BY id DESC
            LIMIT CAST(:look AS INTEGER))
    )
    ORDER BY iif(:newest = 'true', -id, id)
    LIMIT CAST(:look AS INTEGER)
), found AS MATERIALIZED (
    SELECT id, state, lease, worker
    FROM looked AS l
    WHERE
        -- include: filter_matches
    ORDER BY iif(:newest = 'true', -id, id)
    LIMIT CAST(:limit AS INTEGER)
)
SELECT id, state, lease, worker FROM found
UNION ALL
SELECT NULL, NULL,
       CASE WHEN (SELECT count(*) FROM found) = CAST(:limit AS INTEGER)
                THEN (SELECT iif(:newest = 'true', min(id), max(id)) FROM found)
            WHEN (SELECT count(*) FROM looked) = CAST(:look AS INTEGER)
                THEN (SELECT iif(:newest = 'true', min(id), max(id)) FROM looked) END,
       coalesce(CAST(:until AS INTEGER),
                max(coalesce((SELECT max(id) FROM pgqueue_job), 0), coalesce((SELECT max(id) FROM pgqueue_archive), 0)));
