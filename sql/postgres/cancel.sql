-- cancel: waiting jobs are cancelled at once; the worker of a running one is asked to stop it.
--
-- in:   ids    JSON array of job ids
--       workflow bigint or null: all of its jobs too
--       states   JSON array or null: only jobs that are in one of these states now
--       reason text or null
--       keep, now   as for complete
-- out:  id, state: 'cancelled', or 'running' when its worker was asked; a missing one had finished, never existed,
--       or is in another state
-- then: parts/archive, parts/settle
-- walks: the primary key, in id order, in which everybody locks jobs
WITH locked AS MATERIALIZED (
    SELECT j.id, j.state, j.worker, j.queue, j.permit
    FROM pgqueue.job AS j
    WHERE j.id = ANY (ARRAY(
        SELECT jsonb_array_elements_text(:ids::jsonb)::bigint
        UNION ALL
        SELECT w.id FROM pgqueue.job AS w WHERE w.workflow = :workflow::bigint))
      AND (:states::jsonb IS NULL OR :states::jsonb ? j.state)
    ORDER BY j.id
    FOR NO KEY UPDATE
), told AS (
    UPDATE pgqueue.job AS j
    SET cancel_requested = true, reason = coalesce(:reason::text, 'cancelled on request')
    FROM locked
    WHERE j.id = ANY (ARRAY[locked.id]) AND locked.state = 'running'
    RETURNING j.worker
), woken AS (
    SELECT count(pg_notify('pgqueue', '!' || worker)) FROM (SELECT DISTINCT worker FROM told) AS workers
), places AS (
    SELECT count(pgqueue.wake(queue))
    FROM (SELECT DISTINCT queue FROM locked WHERE permit IS NOT NULL AND state <> 'running') AS queues
), noted AS (
    SELECT set_config('pgqueue_local.ending', coalesce(
               jsonb_agg(jsonb_build_object('id', id, 'state', 'cancelled',
                                            'reason', coalesce(:reason::text, 'cancelled on request')))
                   FILTER (WHERE state <> 'running'), '[]')::text, true)
    FROM locked
)
SELECT locked.id, CASE locked.state WHEN 'running' THEN 'running' ELSE 'cancelled' END
FROM noted, woken, places LEFT JOIN locked ON true;
