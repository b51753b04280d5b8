-- retry: waiting jobs run now, finished ones become available again with one attempt more if they had none left.
--
-- in:   ids    JSON array of job ids
--       now
-- out:  id, state: 'available', or 'blocked' (it still waits for parents), 'running', 'held' (its unique key
--       now belongs to another job); a missing one never was, or is past its retention
-- trap: a unique key that was taken meanwhile must not fail the other jobs of the call. A child that was
--       cancelled while some of its parents had not finished waits for them again. So all rows are locked
--       first, its parents' too, and read by a new statement, whose snapshot sees what has just finished.
SELECT j.id
FROM pgqueue.job AS j
WHERE j.id = ANY (ARRAY(
    SELECT jsonb_array_elements_text(:ids::jsonb)::bigint
    UNION ALL
    SELECT d.parent_id
    FROM pgqueue.dependency AS d
    WHERE d.child_id = ANY (ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint))
      AND d.outcome IS NULL
      AND NOT EXISTS (SELECT FROM pgqueue.job AS child WHERE child.id = d.child_id)))
ORDER BY j.id
FOR NO KEY UPDATE;

WITH live AS MATERIALIZED (
    SELECT j.id, j.state
    FROM pgqueue.job AS j
    WHERE j.id = ANY (ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint))
), hurried AS (
    UPDATE pgqueue.job AS j
    SET state = 'available',
        run_at = coalesce(:now::timestamptz, clock_timestamp()),
        position = nextval('pgqueue.position')
    FROM live
    WHERE j.id = live.id AND live.state IN ('scheduled', 'retryable')
    RETURNING j.queue
), finished AS MATERIALIZED (
    SELECT a.*, (SELECT count(*) FROM pgqueue.dependency AS d WHERE d.child_id = a.id AND d.outcome IS NULL) AS blocked_by
    FROM pgqueue.archive AS a
    WHERE a.id = ANY (ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint))
    ORDER BY a.id
    FOR UPDATE OF a
), revived AS (
    INSERT INTO pgqueue.job (id, run_at, enqueued_at, timeout_seconds, workflow, blocked_by, priority, attempt,
                             max_attempts, state, queue, task, unique_key, args, errors, progress, metadata, tags)
    SELECT id, coalesce(:now::timestamptz, clock_timestamp()), enqueued_at, timeout_seconds, workflow, blocked_by,
           priority, attempt, greatest(max_attempts, attempt + 1),
           CASE WHEN blocked_by > 0 THEN 'blocked' ELSE 'available' END,
           queue, task, unique_key, args, errors, progress, metadata, tags
    FROM finished
    ON CONFLICT DO NOTHING
    RETURNING id, queue, state
), forgotten AS (
    DELETE FROM pgqueue.archive AS a
    USING revived
    WHERE a.id = revived.id
), woken AS (
    SELECT count(pgqueue.wake(queue))
    FROM (SELECT queue FROM hurried UNION SELECT queue FROM revived WHERE state = 'available') AS queues
), answer AS (
    SELECT id, CASE WHEN state IN ('scheduled', 'retryable') THEN 'available' ELSE state END AS state FROM live
    UNION ALL
    SELECT finished.id, coalesce(revived.state, 'held') FROM finished LEFT JOIN revived USING (id)
)
SELECT answer.id, answer.state FROM woken LEFT JOIN answer ON true;
