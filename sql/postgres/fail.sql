-- fail: ends failed attempts: the job becomes `retryable`, or `discarded` when its attempts are used up.
--
-- in:   jobs   JSON array of {id, lease, verdict, retry_in_seconds, reason, error}, in id order; verdict is
--              'retry', 'discard', 'cancel' or 'expire' (the attempt did not begin, and is not spent); error {type, message, traceback} or null
--       keep, now   as for complete
-- out:  id, lease, state of each afterwards; a missing one was lost to another owner
-- then: parts/archive, parts/settle
-- trap: a job that was asked to cancel is not tried again; nor is one that would have expired by then.
WITH held AS MATERIALIZED (
    SELECT g.id, g.lease, g.verdict, g.retry_in_seconds, g.error, g.arrived,
           CASE WHEN g.verdict = 'expire' OR g.verdict = 'retry' AND NOT j.cancel_requested AND j.attempt < j.max_attempts
                     AND j.expires_at < g.arrived + make_interval(secs => coalesce(g.retry_in_seconds, 0))
                THEN 'expired: no attempt was to begin after ' || to_char(j.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
                ELSE g.reason END AS reason,
           CASE WHEN g.verdict IN ('cancel', 'expire') OR j.cancel_requested THEN 'cancelled'
                WHEN g.verdict = 'discard' OR j.attempt >= j.max_attempts THEN 'discarded'
                WHEN j.expires_at < g.arrived + make_interval(secs => coalesce(g.retry_in_seconds, 0)) THEN 'cancelled'
                WHEN coalesce(g.retry_in_seconds, 0) > 0 THEN 'retryable'
                ELSE 'available' END AS next
    FROM (
        SELECT g.*, arrived
        FROM (SELECT coalesce(:now::timestamptz, clock_timestamp()) AS arrived OFFSET 0) AS t,
             jsonb_to_recordset(:jobs::jsonb)
                 AS g(id bigint, lease bigint, verdict text, retry_in_seconds float8, reason text, error jsonb)
        ORDER BY g.id
    ) AS g
    CROSS JOIN LATERAL (
        SELECT cancel_requested, attempt, max_attempts, expires_at
        FROM pgqueue.job AS j WHERE j.id = g.id AND j.lease = g.lease FOR NO KEY UPDATE
    ) AS j
), placed AS MATERIALIZED (
    SELECT held.*, CASE next WHEN 'available' THEN nextval('pgqueue.position') END AS position FROM held
), judged AS (
    UPDATE pgqueue.job AS j
    SET errors = CASE WHEN h.error IS NULL THEN j.errors
                      ELSE CASE WHEN jsonb_array_length(j.errors) >= 10 THEN j.errors - 0
                                ELSE coalesce(j.errors, '[]') END
                           || (h.error || jsonb_build_object('attempt', j.attempt, 'at', h.arrived, 'worker', j.worker))
                 END,
        state = CASE WHEN h.next IN ('retryable', 'available') THEN h.next ELSE j.state END,
        lease = CASE WHEN h.next IN ('retryable', 'available') THEN NULL ELSE j.lease END,
        run_at = CASE WHEN h.next IN ('retryable', 'available')
                      THEN h.arrived + make_interval(secs => coalesce(h.retry_in_seconds, 0)) ELSE j.run_at END,
        due_at = NULL,
        attempt = CASE h.verdict WHEN 'expire' THEN j.attempt - 1 ELSE j.attempt END,
        position = coalesce(h.position, j.position)
    FROM placed AS h
    WHERE j.id = ANY (ARRAY[h.id])
    RETURNING j.id, h.lease, h.next, h.reason, j.queue, j.permit, j.run_at < h.arrived + interval '30 seconds' AS soon
), noted AS (
    SELECT set_config('pgqueue_local.ending', coalesce(
               jsonb_agg(jsonb_build_object('id', id, 'state', next, 'reason', reason))
                   FILTER (WHERE next IN ('cancelled', 'discarded')), '[]')::text, true)
    FROM judged
), woken AS (
    SELECT count(pgqueue.wake(topic))
    FROM (SELECT DISTINCT CASE next WHEN 'available' THEN queue ELSE '@' END
          FROM judged
          WHERE next = 'available' OR next = 'retryable' AND soon
          UNION
          SELECT queue FROM judged WHERE permit IS NOT NULL) AS topics(topic)
)
SELECT judged.id, judged.lease, judged.next FROM noted, woken LEFT JOIN judged ON true;
