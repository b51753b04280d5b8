-- claim: gives each job to one worker, most urgent first, with attempt + 1, under the caller's lease.
--
-- in:   queue text · worker integer · limit integer · now
--       strays integer: take up to so many jobs that have keys first; if there are any, claim_in_turn should serve
--              the queue from then on. A queue with limits gives this claim nothing
--       lease  integer, a number of the worker's block that no other claim was given
--       floors JSON array of {priority, position, below}: look, in each in turn, at what lies above
--              (priority, position) and has a priority smaller than *below*. The whole queue is
--              [{"priority": -32769, "position": 0, "below": 32768}]
-- out:  id, priority, position, attempt, task, args, max_attempts, timeout_seconds, run_at in seconds since
--       the epoch, rescues, progress, metadata, tags, workflow, queue, key, expires_in (seconds; a job with less than
--       zero must not begin); in no order
-- walks: pgqueue_job_claim, from each floor upwards; no sort
-- trap: no ORDER BY, which would read and sort the whole queue: CROSS JOIN makes the floors the outer loop,
--       and within each floor the index already has the order.
UPDATE pgqueue_job
SET state = 'running',
    attempt = attempt + 1,
    lease = CAST(:lease AS INTEGER),
    worker = CAST(:worker AS INTEGER),
    claimed_at = :now,
    permit = NULL
WHERE id IN (
    SELECT id
    FROM (
        SELECT id
        FROM (SELECT j.id
              FROM pgqueue_job AS j INDEXED BY pgqueue_job_claim
              WHERE j.queue = :queue AND j.state = 'available' AND j.key > ''
              LIMIT CAST(:strays AS INTEGER))
        UNION ALL
        SELECT id
        FROM (SELECT j.id
              FROM json_each(:floors) AS floor
              CROSS JOIN pgqueue_job AS j INDEXED BY pgqueue_job_claim
              WHERE j.queue = :queue
                AND j.key = ''
                AND j.state = 'available'
                AND (j.priority, j.position) > (floor.value ->> '$.priority', floor.value ->> '$.position')
                AND j.priority < floor.value ->> '$.below'
              LIMIT CAST(:limit AS INTEGER))
    )
    WHERE NOT EXISTS (SELECT 1 FROM pgqueue_queue WHERE name = :queue AND (paused_at IS NOT NULL OR limits IS NOT NULL))
    LIMIT CAST(:limit AS INTEGER)
)
RETURNING id, priority, position, attempt, task, args, max_attempts, timeout_seconds, run_at / 1000000.0,
          rescues, progress, metadata, tags AS "tags[]", workflow, queue, key,
          (expires_at - claimed_at) / 1000000.0 AS expires_in;
