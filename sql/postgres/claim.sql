-- claim: gives each job to one worker, most urgent first, with attempt + 1, under the caller's lease.
--
-- in:   queue text · worker integer · limit integer · now
--       strays integer: take up to so many jobs that have keys first; if there are any, claim_in_turn should serve
--              the queue from then on. A queue with limits gives this claim nothing
--       lease  bigint, a number of the worker's block that no other claim was given
--       floors JSON array of {priority, position, below}: look, in each in turn, at what lies above
--              (priority, position) and has a priority smaller than *below*. The whole queue is
--              [{"priority": -32769, "position": 0, "below": 32768}]
-- out:  id, priority, position, attempt, task, args, max_attempts, timeout_seconds, run_at in seconds since
--       the epoch, rescues, progress, metadata, tags, workflow, queue, key, expires_in (seconds; a job with less than
--       zero must not begin); in no order
-- walks: job_plain, from each floor upwards; no sort; for strays job_turn
-- trap: the planner may run IN (SELECT … LIMIT), or a join, more than once, and then takes more than LIMIT.
--       A floor is only a hint: a transaction that commits late leaves jobs below it, so now and then look
--       from the bottom. A locked row does not move, so the UPDATE finds it by its ctid, without the primary
--       key; a row that has changed since the snapshot is not found, and is left for the next claim. FOR NO KEY
--       UPDATE, so that a parent can be claimed while a child of it is being enqueued.
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
