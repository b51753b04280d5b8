-- claim: each job to one worker, most urgent first, attempt + 1, under the caller's lease.
--
-- in:   queue text · worker integer · limit integer · now
--       strays integer: take so many of jobs that have keys first; then their queue is one for claim_in_turn. A
--              queue with limits gives none to this claim
--       lease  bigint, a number of the worker's block that no other claim was given
--       floors JSON array of {priority, position, below}: look, in each in turn, at what lies above
--              (priority, position) and has a priority smaller than *below*. The whole queue is
--              [{"priority": -32769, "position": 0, "below": 32768}]
-- out:  id, priority, position, attempt, task, args, max_attempts, timeout_seconds, run_at in seconds since
--       the epoch, rescues, progress, metadata, tags, workflow, queue, key, expires_in (seconds; what is below
--       zero must not begin); in no order
-- walks: job_plain, from each floor upwards; no sort; for strays job_turn
-- trap: IN (SELECT … LIMIT), or a join, may be run again by the planner and then takes more than LIMIT.
--       A floor is a hint: a transaction that commits late leaves jobs below it, so now and then look
--       from the bottom. What is locked does not move, so it is found again by its ctid, without the primary
--       key; one that was changed since the snapshot is not found, and left for the next claim. FOR NO KEY
--       UPDATE, so that a parent whose child is being enqueued can be claimed.
UPDATE pgqueue.job
SET state = 'running',
    attempt = attempt + 1,
    lease = :lease::bigint,
    worker = :worker::integer,
    claimed_at = coalesce(:now::timestamptz, clock_timestamp()),
    permit = NULL
WHERE ctid = ANY (ARRAY(
    SELECT candidate.ctid
    FROM (
        SELECT stray.ctid
        FROM (
            SELECT j.ctid
            FROM pgqueue.job AS j
            WHERE j.queue = :queue::text
              AND j.state = 'available'
              AND j.key > ''
            ORDER BY j.key, j.priority, j.position
            LIMIT :strays::integer
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS stray
        UNION ALL
        SELECT next.ctid
        FROM jsonb_to_recordset(:floors::jsonb) AS floor(priority integer, position bigint, below integer)
        CROSS JOIN LATERAL (
            SELECT j.ctid
            FROM pgqueue.job AS j
            WHERE j.queue = :queue::text
              AND j.key = ''
              AND j.state = 'available'
              AND (j.priority, j.position) > (floor.priority, floor.position)
              AND j.priority < floor.below
            ORDER BY j.priority, j.position
            LIMIT :limit::integer
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS next
    ) AS candidate
    WHERE NOT EXISTS (SELECT FROM pgqueue.queue
                      WHERE name = :queue::text AND (paused_at IS NOT NULL OR limits IS NOT NULL))
    LIMIT :limit::integer
))
RETURNING id, priority, position, attempt, task, args::text, max_attempts, timeout_seconds,
          date_part('epoch', run_at), rescues, progress::text, metadata::text, tags, workflow, queue, key,
          extract(epoch FROM expires_at - claimed_at)::float8 AS expires_in;
