-- rescue: the jobs of dead workers become available, or are discarded when they keep killing workers.
--
-- in:   patience_seconds  how long a worker's presence lock must have been free
--       frozen_seconds    how long a worker may go without a heartbeat, whatever its lock says
--       max_rescues       integer · keep, now   as for complete
-- out:  id, state, worker, task of each job taken from a dead worker; and one row without an id whose
--       state is the number of other workers, as text
-- unless: calm
-- then: archive, settle
-- trap: a process is dead when its session is dead: the kernel closes a killed process's socket, and that
--       frees its lock, however busy the interpreter was. The second sighting counts, because a
--       live worker that lost its connection takes the lock again at once; after a restart of the
--       server all have lost theirs, and have ten seconds. The scan for a dead worker's
--       jobs reads the live table once: lease columns have no index, as claims are many and deaths few.
WITH clock AS MATERIALIZED (
    SELECT coalesce(:now::timestamptz, clock_timestamp()) AS instant
), present AS MATERIALIZED (
    SELECT objid::bigint AS worker
    FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid::bigint = hashtext('pgqueue')::bigint & 4294967295
), suspected AS (
    UPDATE pgqueue.worker AS w
    SET suspected_at = CASE WHEN w.suspected_at IS NULL THEN instant END
    FROM clock
    WHERE w.session
      AND (w.suspected_at IS NULL) = (w.id NOT IN (SELECT worker FROM present))
      AND (w.suspected_at IS NOT NULL
           OR pg_postmaster_start_time() < instant - interval '10 seconds')
), dead AS (
    DELETE FROM pgqueue.worker AS w
    USING clock
    WHERE w.heartbeat_at <= instant - make_interval(secs => :frozen_seconds::float8)
       OR w.session AND w.suspected_at <= instant - make_interval(secs => :patience_seconds::float8)
          AND w.id NOT IN (SELECT worker FROM present)
    RETURNING w.id, w.name
)
SELECT set_config('pgqueue_local.dead', coalesce(jsonb_object_agg(id, name), '{}')::text, true),
       set_config('pgqueue_local.ending', '[]', true)
FROM dead;

WITH orphaned AS MATERIALIZED (
    SELECT j.id, j.worker, current_setting('pgqueue_local.dead')::jsonb ->> j.worker::text AS name,
           CASE WHEN j.cancel_requested THEN 'cancelled'
                WHEN j.rescues >= :max_rescues::integer THEN 'discarded'
                ELSE 'available' END AS next
    FROM pgqueue.job AS j
    WHERE current_setting('pgqueue_local.dead') <> '{}'
      AND j.state = 'running'
      AND j.worker = ANY (ARRAY(SELECT jsonb_object_keys(current_setting('pgqueue_local.dead')::jsonb)::integer))
    ORDER BY j.id
    FOR NO KEY UPDATE
), placed AS MATERIALIZED (
    SELECT orphaned.*, nextval('pgqueue.position') AS position FROM orphaned
), rescued AS (
    UPDATE pgqueue.job AS j
    SET state = CASE o.next WHEN 'available' THEN 'available' ELSE j.state END,
        lease = CASE o.next WHEN 'available' THEN NULL ELSE j.lease END,
        attempt = CASE o.next WHEN 'available' THEN j.attempt - 1 ELSE j.attempt END,
        position = o.position,
        rescues = j.rescues + 1,
        errors = CASE WHEN jsonb_array_length(j.errors) >= 10 THEN j.errors - 0 ELSE coalesce(j.errors, '[]') END
                 || jsonb_build_object(
                        'attempt', j.attempt, 'type', 'WorkerLost', 'worker', j.worker,
                        'message', format('worker %s (%s) died or froze while it ran this job', o.worker, o.name),
                        'at', coalesce(:now::timestamptz, clock_timestamp()))
    FROM placed AS o
    WHERE j.id = ANY (ARRAY[o.id])
    RETURNING j.id, j.queue, j.task, o.worker, o.next
), noted AS (
    SELECT set_config('pgqueue_local.ending', coalesce(
               jsonb_agg(jsonb_build_object('id', id, 'state', next, 'reason', CASE next
                   WHEN 'discarded' THEN format('it has killed its worker %s times', :max_rescues::integer + 1) END))
                   FILTER (WHERE next <> 'available'), '[]')::text, true)
    FROM rescued
), woken AS (
    SELECT count(pgqueue.wake(queue)) FROM (SELECT DISTINCT queue FROM rescued WHERE next = 'available') AS queues
)
SELECT id, next, worker, task FROM rescued
UNION ALL
SELECT NULL, (SELECT count(*) FROM pgqueue.worker)::text, NULL, NULL FROM noted, woken;
