-- archive: moves cancelled and discarded jobs from the live table to the archive.
--
-- in:   the setting pgqueue_local.ending, [{id, state, reason, cause}], of jobs this transaction has locked
--       keep, now   as for complete
-- out:  nothing; the setting pgqueue_local.finished, as settle wants it
WITH ended AS (
    DELETE FROM pgqueue.job AS j
    USING jsonb_to_recordset(current_setting('pgqueue_local.ending')::jsonb) AS e(id bigint, state text, reason text, cause bigint)
    WHERE j.id = ANY (ARRAY[e.id])
    RETURNING e.state, e.cause, j.id, j.lease, j.run_at, j.enqueued_at, j.claimed_at, j.timeout_seconds,
              j.workflow, j.worker, j.priority, j.attempt, j.max_attempts, j.rescues, j.queue, j.key, j.task, coalesce(j.unique_key, j.next_key) AS unique_key,
              coalesce(e.reason, j.reason) AS reason, j.args, j.errors, j.progress, j.metadata, j.tags
), archived AS (
    INSERT INTO pgqueue.archive
        (finished_at, state, cause, id, lease, run_at, enqueued_at, claimed_at, timeout_seconds, workflow,
         worker, priority, attempt, max_attempts, rescues, queue, key, task, unique_key,
         reason, args, errors, progress, metadata, tags)
    SELECT coalesce(:now::timestamptz, clock_timestamp()), ended.*
    FROM ended
    WHERE :keep::jsonb ? ended.state
)
SELECT set_config('pgqueue_local.finished', coalesce(jsonb_object_agg(state, ids), '{}')::text, true)
FROM (SELECT state, array_agg(id)::text AS ids FROM ended GROUP BY state) AS finished;
