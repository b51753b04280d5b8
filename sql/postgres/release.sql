-- release: hands jobs back without spending the attempt: at shutdown (now), for a snooze (later).
--
-- in:   jobs   JSON array of {id, lease, delay_seconds, unknown, unstarted}, in id order; unknown: this worker does not know
--              its task, and the job keeps the time since when it has been due; unstarted: its attempt has not begun,
--              and counts for no rate
--       keep, now   as for complete
-- out:  id, lease, state; a missing one was lost to another owner
-- then: parts/archive, parts/settle
-- trap: a job that was asked to cancel is cancelled instead of released.
WITH held AS MATERIALIZED (
    SELECT g.id, g.lease, g.delay_seconds, g.unknown, g.unstarted, g.arrived, j.queue, j.key, j.claimed_at, j.permit,
           CASE WHEN j.cancel_requested THEN 'cancelled'
                WHEN coalesce(g.delay_seconds, 0) > 0 THEN 'scheduled'
                ELSE 'available' END AS next
    FROM (
        SELECT g.*, arrived
        FROM (SELECT coalesce(:now::timestamptz, clock_timestamp()) AS arrived OFFSET 0) AS t,
             jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint, delay_seconds float8, unknown boolean, unstarted boolean)
        ORDER BY g.id
    ) AS g
    CROSS JOIN LATERAL (
        SELECT cancel_requested, queue, key, claimed_at, permit FROM pgqueue.job AS j WHERE j.id = g.id AND j.lease = g.lease FOR NO KEY UPDATE
    ) AS j
), placed AS MATERIALIZED (
    SELECT held.*, nextval('pgqueue.position') AS position FROM held
), released AS (
    UPDATE pgqueue.job AS j
    SET state = h.next,
        lease = NULL,
        worker = NULL,
        attempt = j.attempt - 1,
        position = h.position,
        due_at = CASE WHEN h.unknown THEN coalesce(j.due_at, j.run_at) WHEN h.next = 'available' THEN j.due_at END,
        run_at = CASE h.next WHEN 'scheduled' THEN h.arrived + make_interval(secs => h.delay_seconds) ELSE j.run_at END
    FROM placed AS h
    WHERE j.id = ANY (ARRAY[h.id]) AND h.next <> 'cancelled'
    RETURNING h.next, j.queue, j.run_at < h.arrived + interval '30 seconds' AS soon
), given_back AS (
    UPDATE pgqueue.start AS s
    SET count = s.count - g.count
    FROM (
        SELECT h.queue, scope.key, h.claimed_at, count(*)
        FROM held AS h
        CROSS JOIN LATERAL unnest(CASE h.key WHEN '' THEN ARRAY[''] ELSE ARRAY['', h.key] END) AS scope(key)
        WHERE h.unstarted AND h.permit IS NOT NULL
        GROUP BY 1, 2, 3
    ) AS g
    WHERE s.queue = g.queue AND s.key = g.key COLLATE "C" AND s.at = g.claimed_at
), noted AS (
    SELECT set_config('pgqueue_local.ending', coalesce(
               jsonb_agg(jsonb_build_object('id', id, 'state', next))
                   FILTER (WHERE next = 'cancelled'), '[]')::text, true)
    FROM held
), woken AS (
    SELECT count(pgqueue.wake(topic))
    FROM (SELECT DISTINCT CASE next WHEN 'available' THEN queue ELSE '@' END
          FROM released
          WHERE next = 'available' OR soon
          UNION
          SELECT queue FROM held WHERE permit IS NOT NULL) AS topics(topic)
)
SELECT held.id, held.lease, held.next FROM noted, woken LEFT JOIN held ON true;
