-- claim: each job to one worker, most urgent first, attempt + 1, under the caller's lease.
--
-- in:   queue text · worker integer · limit integer · now
--       lease  integer, a number of the worker's block that no other claim was given
--       floors JSON array of {priority, position, below}, ascending and without gaps: look at what lies
--              above (priority, position) and has a priority smaller than *below*. The whole queue is
--              [{"priority": -32769, "position": 0, "below": 32768}]
-- out:  id, priority, position, attempt, task, args, max_attempts, timeout_seconds, run_at in seconds since
--       the epoch, rescues, progress, metadata, tags, workflow, queue; in no order
-- walks: pgqueue_job_claim, from each floor upwards; no sort
-- trap: no ORDER BY, which would read and sort the whole queue: CROSS JOIN fixes the order of the loops,
--       floors outside, and within each the index has the order already.
UPDATE pgqueue_job
SET state = 'running',
    attempt = attempt + 1,
    lease = CAST(:lease AS INTEGER),
    worker = CAST(:worker AS INTEGER),
    claimed_at = :now
WHERE id IN (
    SELECT j.id
    FROM json_each(:floors) AS floor
    CROSS JOIN pgqueue_job AS j INDEXED BY pgqueue_job_claim
    WHERE j.queue = :queue
      AND j.state = 'available'
      AND (j.priority, j.position) > (floor.value ->> '$.priority', floor.value ->> '$.position')
      AND j.priority < floor.value ->> '$.below'
      AND NOT EXISTS (SELECT 1 FROM pgqueue_queue WHERE name = :queue AND paused_at IS NOT NULL)
    LIMIT CAST(:limit AS INTEGER)
)
RETURNING id, priority, position, attempt, task, args, max_attempts, timeout_seconds, run_at / 1000000.0,
          rescues, progress, metadata, tags AS "tags[]", workflow, queue;
