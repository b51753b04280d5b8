-- retry: waiting jobs run now, finished ones become available again with one attempt more if they had none left.
--
-- in:   ids    JSON array of job ids
--       now
-- out:  id, state: 'available', or 'blocked' (it still waits), 'running', 'held' (its unique key now
--       belongs to another job); a missing one never was, or is past its retention
-- trap: a unique key that was taken meanwhile must not fail the other jobs of the call.
WITH live AS MATERIALIZED (
    SELECT j.id, j.state
    FROM pgqueue.job AS j
    WHERE j.id = ANY (ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint))
    ORDER BY j.id
    FOR NO KEY UPDATE
), hurried AS (
    UPDATE pgqueue.job AS j
    SET state = 'available',
        run_at = coalesce(:now::timestamptz, clock_timestamp()),
        position = nextval('pgqueue.position')
    FROM live
    WHERE j.id = live.id AND live.state IN ('scheduled', 'retryable')
    RETURNING j.queue
), finished AS MATERIALIZED (
    SELECT a.*
    FROM pgqueue.archive AS a
    WHERE a.id = ANY (ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint))
    ORDER BY a.id
    FOR UPDATE
), revived AS (
    INSERT INTO pgqueue.job (id, run_at, enqueued_at, timeout_seconds, workflow, priority, attempt, max_attempts,
                             state, queue, task, unique_key, args, errors, progress, metadata, tags)
    SELECT id, coalesce(:now::timestamptz, clock_timestamp()), enqueued_at, timeout_seconds, workflow, priority,
           attempt, greatest(max_attempts, attempt + 1), 'available', queue, task, unique_key, args, errors,
           progress, metadata, tags
    FROM finished
    ON CONFLICT DO NOTHING
    RETURNING id, queue
), forgotten AS (
    DELETE FROM pgqueue.archive AS a
    USING revived
    WHERE a.id = revived.id
), woken AS (
    SELECT count(pgqueue.wake(queue))
    FROM (SELECT queue FROM hurried UNION SELECT queue FROM revived) AS queues
), noted AS (
    SELECT set_config('pgqueue_local.revived', coalesce(jsonb_agg(id), '[]')::text, true) FROM revived
), answer AS (
    SELECT id, CASE WHEN state IN ('scheduled', 'retryable') THEN 'available' ELSE state END AS state FROM live
    UNION ALL
    SELECT finished.id, CASE WHEN revived.id IS NULL THEN 'held' ELSE 'available' END
    FROM finished LEFT JOIN revived USING (id)
)
SELECT answer.id, answer.state FROM woken, noted LEFT JOIN answer ON true;
