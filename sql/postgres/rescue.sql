-- rescue: makes the jobs of dead workers available, or discards them when they keep killing workers.
--
-- in:   patience_seconds  how long a worker's presence lock must have been free
--       silent  JSON {worker: beat} of workers that were silent for too long, with the beat that watch showed;
--               or null: all that have sent no heartbeat for frozen_seconds by the store's clock
--       gone    JSON array or null: the workers whose session a rescuer has seen missing for patience_seconds: while
--               somebody holds such a worker's row, the store cannot note that
--       spared  JSON array or null: the workers that may still come back, as the rescuer knows
--       frozen_seconds
--       ends    integer: end at most so many jobs (cancelled, discarded); null: all
--       max_rescues       integer · keep, now   as for complete
-- out:  id, state, worker, task of each job taken from a dead worker; and one row without an id whose
--       state is the number of other workers, as text
-- unless: parts/all_workers_present
-- then: parts/archive, parts/settle
-- trap: a process is dead when its session is dead: the kernel closes a killed process's socket, and that
--       frees its presence lock, however busy the interpreter was. Only a second sighting counts, because a
--       live worker that lost its connection takes the lock again at once. After a start of the
--       server all workers have lost their locks, and have ten seconds; except a worker that has sent a heartbeat on a
--       session of its own since then. Its row names that start; clocks may be set meanwhile. An instant in
--       the future counts for nothing: the clock was ahead. A job that somebody holds is skipped; its worker stays dead,
--       with the jobs that remain, until the last one is taken. A worker whose row somebody holds cannot write its
--       heartbeat, so its silence proves nothing, but the end of its session does. The scan for a dead worker's
--       jobs reads the live table once: lease columns have no index, as claims are many and deaths few.
--       The only rows to wait for are the children of jobs that end, and not for long.
WITH clock AS MATERIALIZED (
    SELECT instant,
           -- include: server_run
           AS server,
           pg_postmaster_start_time() BETWEEN instant - interval '10 seconds' AND instant AS is_new
    FROM (SELECT coalesce(:now::timestamptz, clock_timestamp()) AS instant) AS now
), present AS MATERIALIZED (
    -- include: present
), excused AS MATERIALIZED (
    SELECT jsonb_array_elements_text(:spared::jsonb)::integer AS worker
    UNION ALL
    SELECT w.id FROM pgqueue.worker AS w, clock WHERE is_new AND w.info ->> 'server' IS DISTINCT FROM server
), doubtful AS MATERIALIZED (
    SELECT w.id, w.name, w.remaining, w.suspected_at,
           w.session AND w.id NOT IN (SELECT worker FROM present) AND w.id NOT IN (SELECT worker FROM excused) AS absent,
           CASE WHEN :silent::jsonb IS NULL
                THEN w.heartbeat_at <= instant - make_interval(secs => :frozen_seconds::float8)
                ELSE coalesce(:silent::jsonb ->> w.id::text = extract(epoch FROM w.heartbeat_at)::text, false) END AS frozen
    FROM pgqueue.worker AS w, clock
    WHERE w.suspected_at IS NOT NULL
       OR w.remaining IS NOT NULL
       OR w.session AND w.id NOT IN (SELECT worker FROM present)
       OR CASE WHEN :silent::jsonb IS NULL
               THEN w.heartbeat_at <= instant - make_interval(secs => :frozen_seconds::float8)
               ELSE :silent::jsonb ->> w.id::text = extract(epoch FROM w.heartbeat_at)::text END
    ORDER BY w.id
    FOR UPDATE OF w SKIP LOCKED
), suspected AS (
    UPDATE pgqueue.worker AS w
    SET suspected_at = CASE WHEN d.absent THEN instant END
    FROM doubtful AS d, clock
    WHERE w.id = d.id
      AND CASE WHEN d.absent
               THEN d.suspected_at IS NULL OR d.suspected_at > instant
               ELSE d.suspected_at IS NOT NULL END
), dead AS (
    SELECT d.*
    FROM doubtful AS d, clock
    WHERE d.frozen OR d.remaining IS NOT NULL
       OR d.absent AND d.suspected_at <= instant - make_interval(secs => :patience_seconds::float8)
), out_of_reach AS (
    SELECT w.id, w.name, w.remaining
    FROM pgqueue.worker AS w
    WHERE w.id = ANY (ARRAY(SELECT jsonb_array_elements_text(:gone::jsonb)::integer))
      AND w.session AND w.id NOT IN (SELECT worker FROM present) AND w.id NOT IN (SELECT id FROM doubtful)
      AND w.id NOT IN (SELECT worker FROM excused)
)
SELECT set_config('lock_timeout', '100ms', true),
       set_config('pgqueue_local.dead', coalesce(jsonb_object_agg(
           id, jsonb_build_object('name', name, 'remaining', remaining, 'ours', ours)), '{}')::text, true),
       set_config('pgqueue_local.ending', '[]', true)
FROM (SELECT id, name, remaining, true AS ours FROM dead
      UNION ALL
      SELECT id, name, remaining, false FROM out_of_reach) AS dead;

WITH dead AS MATERIALIZED (
    SELECT key::integer AS worker, value ->> 'name' AS name, nullif(value -> 'remaining', 'null') AS remaining,
           (value ->> 'ours')::boolean AS ours
    FROM jsonb_each(current_setting('pgqueue_local.dead')::jsonb)
), held AS MATERIALIZED (
    SELECT j.id, j.worker
    FROM pgqueue.job AS j
    WHERE EXISTS (SELECT FROM dead WHERE remaining IS NULL)
      AND j.state = 'running'
      AND j.worker = ANY (ARRAY(SELECT worker FROM dead WHERE remaining IS NULL))
    UNION ALL
    SELECT j.id, dead.worker
    FROM dead
    CROSS JOIN LATERAL jsonb_array_elements_text(dead.remaining) AS r(id)
    CROSS JOIN LATERAL (
        SELECT j.id FROM pgqueue.job AS j
        WHERE j.id = r.id::bigint AND j.state = 'running' AND j.worker = dead.worker OFFSET 0
    ) AS j
), orphaned AS MATERIALIZED (
    SELECT j.*, dead.name,
           CASE WHEN j.cancel_requested THEN 'cancelled'
                WHEN j.rescues >= :max_rescues::integer THEN 'discarded'
                ELSE 'available' END AS next
    FROM (SELECT * FROM held ORDER BY id) AS h
    CROSS JOIN LATERAL (
        SELECT j.id, j.worker, j.cancel_requested, j.rescues
        FROM pgqueue.job AS j
        WHERE j.id = h.id AND j.state = 'running' AND j.worker = h.worker
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS j
    JOIN dead ON dead.worker = h.worker
), chosen AS MATERIALIZED (
    SELECT *
    FROM (SELECT o.*, row_number() OVER (PARTITION BY next = 'available' ORDER BY random()) AS n FROM orphaned AS o) AS o
    WHERE next = 'available' OR :ends::integer IS NULL OR n <= :ends::integer
    ORDER BY id
), placed AS MATERIALIZED (
    SELECT chosen.*, nextval('pgqueue.position') AS position FROM chosen
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
    RETURNING j.id, j.queue, j.task, j.permit, o.worker, o.next
), remains AS MATERIALIZED (
    SELECT dead.worker, array_agg(h.id ORDER BY h.id) FILTER (WHERE h.id IS NOT NULL AND c.id IS NULL) AS jobs
    FROM dead
    LEFT JOIN held AS h ON h.worker = dead.worker
    LEFT JOIN chosen AS c ON c.id = h.id
    WHERE dead.ours
    GROUP BY dead.worker
), gone AS (
    DELETE FROM pgqueue.worker AS w
    USING remains AS r
    WHERE w.id = r.worker AND r.jobs IS NULL
    RETURNING w.id
), stays AS (
    UPDATE pgqueue.worker AS w
    SET remaining = r.jobs
    FROM remains AS r
    WHERE w.id = r.worker AND r.jobs IS NOT NULL AND w.remaining IS DISTINCT FROM r.jobs
), noted AS (
    SELECT set_config('pgqueue_local.ending', coalesce(
               jsonb_agg(jsonb_build_object('id', id, 'state', next, 'reason', CASE next
                   WHEN 'discarded' THEN format('it has killed its worker %s times', :max_rescues::integer + 1) END))
                   FILTER (WHERE next <> 'available'), '[]')::text, true)
    FROM rescued
), woken AS (
    SELECT count(pgqueue.wake(queue)) FROM (SELECT DISTINCT queue FROM rescued WHERE next = 'available' OR permit IS NOT NULL) AS queues
)
SELECT id, next, worker, task FROM rescued
UNION ALL
SELECT NULL, ((SELECT count(*) FROM pgqueue.worker) - (SELECT count(*) FROM gone))::text, NULL, NULL FROM noted, woken;
