-- release: hands jobs back without spending the attempt: at shutdown (now), for a snooze (later).
--
-- in:   jobs   JSON array of {id, lease, delay_seconds}, in id order
--       keep, now   as for complete
-- out:  id, lease, state; a missing one was lost to another owner
-- then: archive, settle
-- trap: a job that was asked to cancel is cancelled instead of handed on.
WITH held AS MATERIALIZED (
    SELECT g.id, g.lease, g.delay_seconds, g.arrived,
           CASE WHEN j.cancel_requested THEN 'cancelled'
                WHEN coalesce(g.delay_seconds, 0) > 0 THEN 'scheduled'
                ELSE 'available' END AS next
    FROM (
        SELECT g.*, arrived
        FROM (SELECT coalesce(:now::timestamptz, clock_timestamp()) AS arrived OFFSET 0) AS t,
             jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, lease bigint, delay_seconds float8)
        ORDER BY g.id
    ) AS g
    CROSS JOIN LATERAL (
        SELECT cancel_requested FROM pgqueue.job AS j WHERE j.id = g.id AND j.lease = g.lease FOR NO KEY UPDATE
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
        run_at = CASE h.next WHEN 'scheduled' THEN h.arrived + make_interval(secs => h.delay_seconds) ELSE j.run_at END
    FROM placed AS h
    WHERE j.id = ANY (ARRAY[h.id]) AND h.next <> 'cancelled'
    RETURNING h.next, j.queue, j.run_at < h.arrived + interval '30 seconds' AS soon
), noted AS (
    SELECT set_config('pgqueue_local.ending', coalesce(
               jsonb_agg(jsonb_build_object('id', id, 'state', next))
                   FILTER (WHERE next = 'cancelled'), '[]')::text, true)
    FROM held
), woken AS (
    SELECT count(pgqueue.wake(topic))
    FROM (SELECT DISTINCT CASE next WHEN 'available' THEN queue ELSE '@' END
          FROM released
          WHERE next = 'available' OR soon) AS topics(topic)
)
SELECT held.id, held.lease, held.next FROM noted, woken LEFT JOIN held ON true;
