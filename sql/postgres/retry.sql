-- retry: lets waiting jobs run now, and finished ones become available again, with one attempt more if they had none left;
-- their descendants that were cancelled because of them come back too.
--
-- in:   ids    JSON array of job ids
--       workflow bigint or null: also all of its jobs that were discarded or cancelled
--       keep, now   as for complete
-- out:  id, state of each that was asked for: 'available', or 'blocked' (it waits for parents), 'running', 'held'
--       (its unique key now belongs to another job); a missing one never existed, or is past its retention
-- then: retry, parts/archive, parts/settle
-- trap: a transaction that adds a child to a finished job holds that job's row. So finished jobs are locked first, and all of
--       this runs again until a new snapshot shows no other descendant. A job that comes back waits for those of its
--       parents that have not finished: the unfinished ones are kept from finishing, the failed ones from being
--       retried, and a new statement counts them all. A descendant with another failed parent stays
--       cancelled, now because of that parent; a job that was asked for itself comes back anyway. A unique
--       key that was taken meanwhile must not fail the others: the job that lost it stays finished, and so do its
--       descendants. Where several jobs have one key, the first takes it; if that one stays cancelled, the next one takes it
--       when this runs again. LATERAL … OFFSET 0, scalar sub-selects and = ANY (ARRAY(…)) keep every step on an index,
--       whatever the planner believes of the tables; so does switching off sequential scans, until the last statement.
SELECT NULL::bigint,
       set_config('pgqueue_local.seqscan', current_setting('enable_seqscan'), true),
       set_config('enable_seqscan', 'off', true);

WITH RECURSIVE asked AS MATERIALIZED (
    SELECT jsonb_array_elements_text(:ids::jsonb)::bigint AS id
    UNION
    SELECT a.id FROM pgqueue.archive AS a WHERE a.workflow = :workflow::bigint AND a.state IN ('cancelled', 'discarded')
), again(id) AS (
    SELECT id
    FROM (SELECT id FROM asked
          UNION
          SELECT unnest(nullif(current_setting('pgqueue_local.known', true), '')::bigint[])) AS known
    WHERE (SELECT least((SELECT j.id FROM pgqueue.job AS j WHERE j.unique_key = a.unique_key),
                        (SELECT j.id FROM pgqueue.job AS j WHERE j.next_key = a.unique_key))
           FROM pgqueue.archive AS a
           WHERE a.id = known.id) IS NULL
    UNION
    SELECT a.id
    FROM again
    CROSS JOIN LATERAL (SELECT d.child_id FROM pgqueue.dependency AS d WHERE d.parent_id = again.id OFFSET 0) AS d
    CROSS JOIN LATERAL (
        SELECT a.id
        FROM pgqueue.archive AS a
        WHERE a.id = d.child_id AND a.cause = again.id
          AND least((SELECT j.id FROM pgqueue.job AS j WHERE j.unique_key = a.unique_key),
                    (SELECT j.id FROM pgqueue.job AS j WHERE j.next_key = a.unique_key)) IS NULL
        OFFSET 0
    ) AS a
), locked AS (
    SELECT a.id
    FROM pgqueue.archive AS a
    WHERE a.id = ANY (ARRAY(SELECT id FROM again))
    ORDER BY a.id
    FOR UPDATE
)
SELECT set_config('pgqueue_local.asked', ARRAY(SELECT id FROM asked)::text, true),
       set_config('pgqueue_local.reviving', ARRAY(SELECT id FROM locked)::text, true);

SELECT p.id
FROM pgqueue.job AS p
WHERE p.id = ANY (ARRAY(
    SELECT d.parent_id FROM pgqueue.dependency AS d
    WHERE d.child_id = ANY ((SELECT current_setting('pgqueue_local.reviving')::bigint[])::bigint[])))
ORDER BY p.id
FOR KEY SHARE;

SELECT p.id
FROM pgqueue.archive AS p
WHERE p.id = ANY (ARRAY(
    SELECT d.parent_id FROM pgqueue.dependency AS d
    WHERE d.child_id = ANY ((SELECT current_setting('pgqueue_local.reviving')::bigint[])::bigint[]) AND d.outcome <> 'completed'))
ORDER BY p.id
FOR KEY SHARE;

SELECT p.id
FROM pgqueue.job AS p
WHERE p.id = ANY (ARRAY(
    SELECT d.parent_id FROM pgqueue.dependency AS d
    WHERE d.child_id = ANY ((SELECT current_setting('pgqueue_local.reviving')::bigint[])::bigint[])))
ORDER BY p.id
FOR KEY SHARE;

WITH RECURSIVE candidate AS MATERIALIZED (
    SELECT a.*, a.id IN (SELECT unnest(current_setting('pgqueue_local.asked')::bigint[])) AS asked,
           a.unique_key IS NOT NULL
           AND (row_number() OVER (
                    PARTITION BY a.unique_key
                    ORDER BY a.id NOT IN (SELECT unnest(current_setting('pgqueue_local.asked')::bigint[])), a.id) > 1
                OR least((SELECT j.id FROM pgqueue.job AS j WHERE j.unique_key = a.unique_key),
                         (SELECT j.id FROM pgqueue.job AS j WHERE j.next_key = a.unique_key)) IS NOT NULL) AS held
    FROM pgqueue.archive AS a
    WHERE a.id = ANY ((SELECT current_setting('pgqueue_local.reviving')::bigint[])::bigint[])
), edge AS MATERIALIZED (
    SELECT d.child_id, d.parent_id, d.outcome
    FROM pgqueue.dependency AS d
    WHERE d.child_id = ANY (ARRAY(SELECT id FROM candidate WHERE NOT asked))
      AND d.policy = 'cancel'
), hopeless(id, cause, outcome) AS (
    SELECT e.child_id, e.parent_id, e.outcome
    FROM edge AS e
    WHERE e.outcome <> 'completed'
      AND (SELECT p.id FROM pgqueue.job AS p WHERE p.id = e.parent_id) IS NULL
      AND e.parent_id NOT IN (SELECT id FROM candidate WHERE NOT held)
    UNION
    SELECT e.child_id, e.parent_id, 'cancelled'
    FROM hopeless
    JOIN edge AS e ON e.parent_id = hopeless.id AND e.outcome <> 'completed'
), revived AS (
    INSERT INTO pgqueue.job (id, run_at, enqueued_at, timeout_seconds, workflow, blocked_by, priority, attempt,
                             max_attempts, state, queue, key, task, unique_key, next_key, args, errors, progress, metadata, tags)
    SELECT id, coalesce(:now::timestamptz, clock_timestamp()), enqueued_at, timeout_seconds, workflow, 1,
           priority, attempt, greatest(max_attempts, attempt + 1), 'blocked',
           queue, key, task, unique_key, unique_key, args, errors, progress, metadata, tags
    FROM candidate
    WHERE NOT held AND id NOT IN (SELECT id FROM hopeless)
    ORDER BY id
    ON CONFLICT DO NOTHING
    RETURNING id
), forgotten AS (
    DELETE FROM pgqueue.archive AS a WHERE a.id = ANY (ARRAY(SELECT id FROM revived))
), blamed AS (
    UPDATE pgqueue.archive AS a
    SET cause = h.cause, reason = format('parent %s was %s', h.cause, h.outcome)
    FROM (SELECT DISTINCT ON (id) * FROM hopeless ORDER BY id, cause) AS h
    WHERE a.id = ANY (ARRAY(SELECT id FROM hopeless)) AND a.id = h.id AND a.cause IN (SELECT id FROM revived)
), live AS MATERIALIZED (
    SELECT j.id
    FROM pgqueue.job AS j
    WHERE j.id = ANY ((SELECT current_setting('pgqueue_local.asked')::bigint[])::bigint[])
      AND j.state IN ('scheduled', 'retryable')
    ORDER BY j.id
    FOR NO KEY UPDATE
)
SELECT set_config('pgqueue_local.revived', ARRAY(SELECT id FROM revived ORDER BY id)::text, true),
       set_config('pgqueue_local.known',
           CASE WHEN EXISTS (SELECT FROM revived)
                THEN (coalesce(nullif(current_setting('pgqueue_local.known', true), ''), '{}')::bigint[]
                      || ARRAY(SELECT id FROM revived))::text
                ELSE '' END, true),
       set_config('pgqueue_local.hurried', ARRAY(SELECT id FROM live)::text, true);

UPDATE pgqueue.dependency AS d
SET outcome = NULL
WHERE d.child_id = ANY ((SELECT current_setting('pgqueue_local.revived')::bigint[])::bigint[])
  AND d.outcome IS NOT NULL
  AND (SELECT p.id FROM pgqueue.job AS p WHERE p.id = d.parent_id) IS NOT NULL;

WITH counted AS MATERIALIZED (
    SELECT j.id, parents.blocked_by, parents.spoiled_by
    FROM pgqueue.job AS j
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE d.outcome IS NULL)::integer AS blocked_by,
               min(d.parent_id) FILTER (WHERE d.policy = 'cancel' AND d.outcome <> 'completed'
                                          AND j.id NOT IN (SELECT unnest(current_setting('pgqueue_local.asked')::bigint[]))) AS spoiled_by
        FROM pgqueue.dependency AS d
        WHERE d.child_id = j.id
    ) AS parents
    WHERE j.id = ANY ((SELECT current_setting('pgqueue_local.revived')::bigint[]
                              || current_setting('pgqueue_local.hurried')::bigint[])::bigint[])
    ORDER BY j.id
), placed AS MATERIALIZED (
    SELECT counted.*, nextval('pgqueue.position') AS position FROM counted
), freed AS (
    UPDATE pgqueue.job AS j
    SET blocked_by = placed.blocked_by,
        state = CASE WHEN placed.blocked_by > 0 THEN 'blocked' ELSE 'available' END,
        run_at = coalesce(:now::timestamptz, clock_timestamp()),
        position = placed.position
    FROM placed
    WHERE j.id = ANY (ARRAY[placed.id]) AND placed.spoiled_by IS NULL
    RETURNING j.queue, j.state
), woken AS (
    SELECT count(pgqueue.wake(queue)) FROM (SELECT DISTINCT queue FROM freed WHERE state = 'available') AS queues
), noted AS (
    SELECT set_config('pgqueue_local.ending',
               (coalesce(nullif(current_setting('pgqueue_local.ending', true), ''), '[]')::jsonb
                || coalesce(jsonb_agg(jsonb_build_object(
                       'id', id, 'state', 'cancelled', 'cause', spoiled_by,
                       'reason', format('parent %s had failed', spoiled_by))), '[]'))::text, true)
    FROM counted
    WHERE spoiled_by IS NOT NULL
)
SELECT current_setting('pgqueue_local.revived') <> '{}' AS again FROM woken, noted;

SELECT j.id, j.state FROM pgqueue.job AS j WHERE j.id = ANY ((SELECT current_setting('pgqueue_local.asked')::bigint[])::bigint[])
UNION ALL
SELECT a.id, 'held' FROM pgqueue.archive AS a WHERE a.id = ANY ((SELECT current_setting('pgqueue_local.asked')::bigint[])::bigint[]);

SELECT NULL::bigint, set_config('enable_seqscan', current_setting('pgqueue_local.seqscan'), true);
