-- complete: finishes jobs whose leases still hold, and unblocks their children; a repeated call gets the same answer.
--
-- in:   jobs   JSON array of {lease, ids, results}, all ids in order: a new element where the lease changes.
--              Ids are one text, {1,2}, as PostgreSQL writes an array: it reads numbers in JSON four times
--              slower. Results are {id: result}, for those that have one
--       keep   JSON array of the states whose jobs are kept in the archive
--       now
-- out:  the isolation level; and NULL if all of them are completed now, else {id: lease} of those that are.
--       Then id, lease of each that an earlier call completed; a missing one was lost to another owner
-- then: parts/settle
-- trap: several statements in one READ COMMITTED transaction, never one: the first may wait for a
--       transaction that adds a child to a job being finished, and only a new statement's snapshot sees
--       that child. Ids pass from one to the next in settings local to the transaction. A job whose state is not kept
--       is archived all the same while it has an unfinished child, which may want its result; prune deletes it later.
--       The jobs of one claim are completed by one walk through the primary key, not by a search for each; an
--       equality of leases would tempt the planner into a hash join with the whole table. `finished` returns first
--       the columns that are read of each row again: PostgreSQL decodes a row only up to the last column it needs.
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(:jobs::jsonb) AS g(lease bigint, ids bigint[], results jsonb)
), finished AS (
    DELETE FROM pgqueue.job AS j
    USING given AS g
    WHERE j.id = ANY (g.ids) AND j.lease IS NOT DISTINCT FROM g.lease
    RETURNING j.id, j.keep, j.permit, j.queue, j.lease, j.run_at, j.enqueued_at, j.claimed_at, j.timeout_seconds, j.workflow,
              j.worker, j.priority, j.attempt, j.max_attempts, j.rescues, j.key, j.task, coalesce(j.unique_key, j.next_key) AS unique_key,
              j.args, CASE WHEN g.results <> '{}' THEN nullif(g.results -> j.id::text, 'null') END AS result, j.errors, j.progress,
              j.metadata, j.tags
), archived AS (
    INSERT INTO pgqueue.archive_completed
        (state, finished_at, id, lease, run_at, enqueued_at, claimed_at, timeout_seconds, workflow, worker,
         priority, attempt, max_attempts, rescues, queue, key, task, unique_key, args,
         result, errors, progress, metadata, tags)
    SELECT 'completed', coalesce(:now::timestamptz, clock_timestamp()), id, lease, run_at, enqueued_at, claimed_at,
           timeout_seconds, workflow, worker, priority, attempt, max_attempts, rescues, queue, key, task, unique_key, args,
           result, errors, progress, metadata, tags
    FROM finished
    WHERE :keep::jsonb ? 'completed' AND keep IS NOT false
), unkept AS (
    SELECT coalesce(jsonb_agg(to_jsonb(finished)), '[]') AS jobs
    FROM finished
    WHERE NOT keep OR NOT (SELECT :keep::jsonb ? 'completed')  -- a subquery: evaluated once, not for each job
), places AS (
    SELECT count(pgqueue.wake(queue)) FROM (SELECT DISTINCT queue FROM finished WHERE permit IS NOT NULL) AS queues
), noted AS (
    SELECT set_config('pgqueue_local.unkept', (SELECT jobs FROM unkept)::text, true),
           set_config('pgqueue_local.left', coalesce(array_agg(ARRAY[queue, key]) FILTER (WHERE permit IS NOT NULL), '{}')::text, true),
           set_config('pgqueue_local.finished', json_build_object('completed', coalesce(array_agg(id), '{}')::text)::text, true),
           set_config('pgqueue_local.missing', (count(*) < (
               SELECT coalesce(sum(cardinality(ids)), 0) FROM given))::text, true)::boolean AS missing
    FROM finished
)
SELECT current_setting('transaction_isolation'),
       CASE WHEN missing THEN (SELECT coalesce(jsonb_object_agg(id, lease), '{}') FROM finished)::text END
FROM noted, places;

WITH wanted AS (
    INSERT INTO pgqueue.archive_completed
        (state, finished_at, id, lease, run_at, enqueued_at, claimed_at, timeout_seconds, workflow, worker,
         priority, attempt, max_attempts, rescues, queue, key, task, unique_key, args,
         result, errors, progress, metadata, tags)
    SELECT 'completed', coalesce(:now::timestamptz, clock_timestamp()), id, lease, run_at, enqueued_at, claimed_at,
           timeout_seconds, workflow, worker, priority, attempt, max_attempts, rescues, queue, key, task, unique_key, args,
           result, errors, progress, metadata, tags
    FROM jsonb_populate_recordset(NULL::pgqueue.archive, current_setting('pgqueue_local.unkept')::jsonb) AS j
    WHERE (SELECT d.child_id
           FROM pgqueue.dependency AS d
           CROSS JOIN LATERAL (SELECT FROM pgqueue.job AS c WHERE c.id = d.child_id OFFSET 0) AS unfinished
           WHERE d.parent_id = j.id
           LIMIT 1) IS NOT NULL
)
SELECT g.id, g.lease
FROM jsonb_to_recordset(:jobs::jsonb) AS claimed(lease bigint, ids bigint[])
CROSS JOIN LATERAL (SELECT claimed.lease, unnest(claimed.ids) AS id) AS g
CROSS JOIN LATERAL (
    SELECT FROM pgqueue.archive_completed AS a WHERE a.id = g.id AND a.lease = g.lease LIMIT 1
) AS known
WHERE current_setting('pgqueue_local.missing')::boolean
  AND g.id <> ALL ((SELECT (current_setting('pgqueue_local.finished')::jsonb ->> 'completed')::bigint[])::bigint[]);
