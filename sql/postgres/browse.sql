-- browse: a page of the jobs that a filter matches, in brief, in one of three orders.
--
-- in:   order    newest: by id, downwards · due: scheduled and retryable ones by run_at · next: of one queue, as claimed
--       states, queue, task, tag, key, error, workflow, args, older_seconds, newer_seconds, running_seconds  as for choose
--       after, after_priority, after_at  where the page before ended: its last job's id or position, priority, run_at
--       limit    integer: return at most so many jobs · look integer: read at most so many rows, and fewer where a filter
--                by error or arguments needs values that are stored outside of their rows: some 400 blocks of those
--       trace    integer or null: the last so many characters of the last traceback, without the error's text
--       now
-- out:  a JSON document for each job; then a row without one: null, how many rows were read, and the place of the last
--       of them, or null when there are no more
-- walks: the primary key and archive_id of the wanted states' partitions from their ends; job_due; job_plain; job_turn,
--        by leaps from one key of the queue to the next
-- trap: as choose: the filter is applied to a bounded number of rows, planned for its values, without sorting. The planner
--       merges the two halves of the view by their indexes only if neither half has a condition of its own. Large arguments
--       are left out, and errors are read once for each row of the page alone: both may be stored outside the row. Nothing
--       says where a value is stored, but its size is known without reading it, and a row of up to 2 kB holds its values.
--       Outside, a value takes four blocks to be found, and one for each 8 kB.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('pgqueue_local.sort', current_setting('enable_sort'), true),
       set_config('enable_sort', 'off', true);

WITH RECURSIVE keys AS (
    SELECT coalesce(:key::text, '') COLLATE "C" AS key, 0 AS n
    WHERE :order::text = 'next'
    UNION ALL
    SELECT (SELECT j.key
            FROM pgqueue.job AS j
            WHERE j.state = 'available' AND j.queue = :queue::text AND j.key > '' AND j.key > keys.key
            ORDER BY j.key
            LIMIT 1), keys.n + 1
    FROM keys
    WHERE keys.key IS NOT NULL AND keys.n < 20 AND :key::text IS NULL
), looked AS MATERIALIZED (
    (SELECT j.id, j.queue, j.priority, j.position, j.state, j.task, j.args, j.attempt, j.max_attempts, j.rescues, j.run_at,
            j.enqueued_at, j.claimed_at, j.finished_at, j.worker, j.unique_key, j.key, j.blocked_by, j.cancel_requested,
            j.reason, j.errors, j.tags, j.workflow
     FROM pgqueue.jobs AS j
     WHERE :order::text = 'newest'
       AND (j.state IN ('blocked', 'scheduled', 'available', 'running', 'retryable')
                AND :states::jsonb ?| ARRAY['blocked', 'scheduled', 'available', 'running', 'retryable']
            OR j.state = 'completed' AND :states::jsonb ? 'completed'
            OR j.state = 'cancelled' AND :states::jsonb ? 'cancelled'
            OR j.state = 'discarded' AND :states::jsonb ? 'discarded')
       AND (:after::bigint IS NULL OR j.id < :after::bigint)
     ORDER BY j.id DESC
     LIMIT :look::integer)
    UNION ALL
    (SELECT j.id, j.queue, j.priority, j.position, j.state, j.task, j.args, j.attempt, j.max_attempts, j.rescues, j.run_at,
            j.enqueued_at, j.claimed_at, NULL, j.worker, coalesce(j.unique_key, j.next_key), j.key, j.blocked_by,
            j.cancel_requested, j.reason, j.errors, j.tags, j.workflow
     FROM pgqueue.job AS j
     WHERE :order::text = 'due' AND j.state IN ('scheduled', 'retryable')
       AND (:after_at::timestamptz IS NULL OR (j.run_at, j.id) > (:after_at::timestamptz, :after::bigint))
     ORDER BY j.run_at, j.id
     LIMIT :look::integer)
    UNION ALL
    (SELECT j.id, j.queue, j.priority, j.position, j.state, j.task, j.args, j.attempt, j.max_attempts, j.rescues, j.run_at,
            j.enqueued_at, j.claimed_at, NULL, j.worker, coalesce(j.unique_key, j.next_key), j.key, j.blocked_by,
            j.cancel_requested, j.reason, j.errors, j.tags, j.workflow
     FROM keys
     CROSS JOIN LATERAL (
         (SELECT *
          FROM pgqueue.job AS j
          WHERE j.state = 'available' AND j.queue = :queue::text AND j.key = '' AND keys.key = ''
            AND (:after::bigint IS NULL OR (j.priority, j.position) > (:after_priority::smallint, :after::bigint))
          ORDER BY j.priority, j.position
          LIMIT :limit::integer)
         UNION ALL
         (SELECT *
          FROM pgqueue.job AS j
          WHERE j.state = 'available' AND j.queue = :queue::text AND j.key > '' AND j.key = keys.key
            AND (:after::bigint IS NULL OR (j.priority, j.position) > (:after_priority::smallint, :after::bigint))
          ORDER BY j.priority, j.position
          LIMIT :limit::integer)) AS j
     WHERE keys.key IS NOT NULL
     ORDER BY j.priority, j.position
     LIMIT :limit::integer)
), kept AS MATERIALIZED (
    SELECT *
    FROM (SELECT *, coalesce(finished_at, enqueued_at) AS since, row_number() OVER w AS n,
                 sum(CASE WHEN coalesce(pg_column_size(errors), 0) + pg_column_size(args) <= 1700 THEN 0
                          ELSE CASE WHEN :error::text IS NULL THEN 0 ELSE 4 + coalesce(pg_column_size(errors), 0) / 8000 END
                             + CASE WHEN :args::jsonb IS NULL THEN 0 ELSE 4 + pg_column_size(args) / 8000 END END)
                     OVER w AS blocks
          FROM looked
          WINDOW w AS (ROWS UNBOUNDED PRECEDING)) AS numbered
    WHERE blocks <= 400 OR n = 1
), found AS MATERIALIZED (
    SELECT *
    FROM kept
    WHERE
        -- include: filter_matches
    LIMIT :limit::integer
), reached AS MATERIALIZED (
    SELECT f.rows = :limit::integer AS full_page
    FROM (SELECT count(*) AS rows FROM found) AS f
), last AS MATERIALIZED (
    SELECT id, position, priority, run_at
    FROM (
        SELECT id, position, priority, run_at FROM found WHERE (SELECT full_page FROM reached)
        UNION ALL
        SELECT id, position, priority, run_at
        FROM kept
        WHERE CASE WHEN (SELECT full_page FROM reached) OR :order::text = 'next' THEN false
                   ELSE (SELECT count(*) FROM looked) >= least(:look::integer, (SELECT count(*) + 1 FROM kept)) END
    ) AS ends
    ORDER BY CASE WHEN :order::text = 'newest' THEN id END,
             CASE WHEN :order::text = 'due' THEN run_at ELSE '-infinity' END DESC,
             CASE WHEN :order::text = 'next' THEN priority ELSE 0 END DESC,
             CASE WHEN :order::text = 'next' THEN position ELSE id END DESC
    LIMIT 1
), restored AS MATERIALIZED (
    SELECT set_config('enable_sort', current_setting('pgqueue_local.sort'), true)
)
SELECT to_jsonb(shown)::text, NULL::bigint, NULL::bigint, NULL::integer, NULL::text
FROM found AS f
CROSS JOIN LATERAL (
    SELECT f.id, f.queue, f.priority, f.position, f.state, f.task, f.attempt, f.max_attempts, f.rescues, f.run_at, f.enqueued_at,
           f.claimed_at, f.finished_at, f.worker, f.unique_key, nullif(f.key, '') AS key, f.blocked_by, f.cancel_requested,
           f.reason, f.tags, f.workflow,
           CASE WHEN pg_column_size(f.args) <= 2000 THEN left(f.args::text, 200) END AS args,
           e.last ->> 'type' AS error_type, left(e.last ->> 'message', 200) AS error_message, e.last ->> 'at' AS error_at,
           right(left(e.last ->> 'traceback', greatest(length(e.last ->> 'traceback') - length(e.last ->> 'message'), 0)),
                 :trace::integer) AS error_trace
    FROM (SELECT CASE WHEN pg_column_size(f.errors) <= 16000 THEN f.errors -> -1 END AS last OFFSET 0) AS e
) AS shown
UNION ALL
SELECT NULL, CASE WHEN reached.full_page THEN (SELECT max(n) FROM found) ELSE (SELECT count(*) FROM kept) END,
       CASE WHEN :order::text = 'next' THEN last.position ELSE last.id END, last.priority, to_jsonb(last.run_at) #>> '{}'
FROM restored
CROSS JOIN reached
LEFT JOIN last ON true;
