-- choose: the jobs that a filter matches, a portion at a time, in the order of their ids.
--
-- in:   states   JSON array: only jobs in one of these
--       queue, task, tag, key, error  text or null: only these; error is the type of the last error
--       workflow bigint or null · args JSON object or null: the job's arguments contain these
--       older_seconds, newer_seconds  or null: since the job ended; for one that has not ended, since it was enqueued
--       running_seconds  or null: the job runs, and was claimed at least so long ago
--       newest   boolean: go downwards, from the newest
--       after    bigint: only ids above it · until bigint or null: only ids up to it; null: up to the newest id now
--       limit    integer: return at most so many jobs · look integer: read at most so many rows
--       now
-- out:  id, state, lease, worker of each job; then a row without an id: null, null, the last id that was read,
--       or null when there are no more, until
-- walks: the primary key of the live table and archive_id of the wanted states' partitions, from one end
-- trap: reads at most *look* rows, whatever the filter is: so the cost of a portion is known beforehand. Planned anew for
--       its values each time, as list; and without sorting: the planner would read and sort the whole of a partition
--       that it believes to be small.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('pgqueue_local.sort', current_setting('enable_sort'), true),
       set_config('enable_sort', 'off', true);

WITH looked AS MATERIALIZED (
    SELECT *
    FROM (
        (SELECT j.id, j.state, j.lease, j.worker, j.queue, j.task, j.tags, j.key, j.workflow, j.args, j.errors, j.claimed_at,
                j.enqueued_at AS since
         FROM pgqueue.job AS j
         WHERE NOT :newest::boolean
           AND :states::jsonb ?| ARRAY['blocked', 'scheduled', 'available', 'running', 'retryable']
           AND j.id > :after::bigint AND (:until::bigint IS NULL OR j.id <= :until::bigint)
         ORDER BY j.id
         LIMIT :look::integer)
        UNION ALL
        (SELECT j.id, j.state, j.lease, j.worker, j.queue, j.task, j.tags, j.key, j.workflow, j.args, j.errors, j.claimed_at,
                j.enqueued_at
         FROM pgqueue.job AS j
         WHERE :newest::boolean
           AND :states::jsonb ?| ARRAY['blocked', 'scheduled', 'available', 'running', 'retryable']
           AND j.id > :after::bigint AND (:until::bigint IS NULL OR j.id <= :until::bigint)
         ORDER BY j.id DESC
         LIMIT :look::integer)
        UNION ALL
        (SELECT a.id, a.state, NULL, NULL, a.queue, a.task, a.tags, a.key, a.workflow, a.args, a.errors, a.claimed_at, a.finished_at
         FROM pgqueue.archive AS a
         WHERE NOT :newest::boolean
           AND (a.state = 'completed' AND :states::jsonb ? 'completed'
                OR a.state = 'cancelled' AND :states::jsonb ? 'cancelled'
                OR a.state = 'discarded' AND :states::jsonb ? 'discarded')
           AND a.id > :after::bigint AND (:until::bigint IS NULL OR a.id <= :until::bigint)
         ORDER BY a.id
         LIMIT :look::integer)
        UNION ALL
        (SELECT a.id, a.state, NULL, NULL, a.queue, a.task, a.tags, a.key, a.workflow, a.args, a.errors, a.claimed_at, a.finished_at
         FROM pgqueue.archive AS a
         WHERE :newest::boolean
           AND (a.state = 'completed' AND :states::jsonb ? 'completed'
                OR a.state = 'cancelled' AND :states::jsonb ? 'cancelled'
                OR a.state = 'discarded' AND :states::jsonb ? 'discarded')
           AND a.id > :after::bigint AND (:until::bigint IS NULL OR a.id <= :until::bigint)
         ORDER BY a.id DESC
         LIMIT :look::integer)
    ) AS walked
    ORDER BY CASE WHEN :newest::boolean THEN -id ELSE id END
    LIMIT :look::integer
), found AS MATERIALIZED (
    SELECT id, state, lease, worker
    FROM looked
    WHERE
        -- include: filter_matches
    ORDER BY CASE WHEN :newest::boolean THEN -id ELSE id END
    LIMIT :limit::integer
), restored AS MATERIALIZED (
    SELECT set_config('enable_sort', current_setting('pgqueue_local.sort'), true)
)
SELECT id, state, lease, worker::bigint FROM found
UNION ALL
SELECT NULL, NULL,
       CASE WHEN (SELECT count(*) FROM found) = :limit::integer
                THEN (SELECT CASE WHEN :newest::boolean THEN min(id) ELSE max(id) END FROM found)
            WHEN (SELECT count(*) FROM looked) = :look::integer
                THEN (SELECT CASE WHEN :newest::boolean THEN min(id) ELSE max(id) END FROM looked) END,
       coalesce(:until::bigint,
                greatest((SELECT max(id) FROM pgqueue.job), (SELECT max(id) FROM pgqueue.archive)), 0)
FROM restored;
