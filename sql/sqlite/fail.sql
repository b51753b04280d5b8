-- fail: ends failed attempts: the job becomes `retryable`, or `discarded` when its attempts are used up.
--
-- in:   jobs   JSON array of {id, lease, verdict, retry_in_seconds, reason, error}, in id order; verdict is
--              'retry', 'discard', 'cancel' or 'expire' (the attempt did not begin, and is not spent); error {type, message, traceback} or null
--       keep, now   as for complete
-- out:  id, lease, state of each afterwards; a missing one was lost to another owner
-- then: parts/archive, parts/settle
-- trap: a job that was asked to cancel is not tried again; nor is one that would have expired by then.
SELECT json_group_array(json_object(
           'id', j.id, 'lease', j.lease, 'spent', g.value ->> '$.verdict' <> 'expire',
           'reason', CASE WHEN g.value ->> '$.verdict' = 'expire'
                            OR g.value ->> '$.verdict' = 'retry' AND NOT j.cancel_requested AND j.attempt < j.max_attempts
                               AND j.expires_at < :now + CAST(round(coalesce(g.value ->> '$.retry_in_seconds', 0) * 1000000) AS INTEGER)
                          THEN 'expired: no attempt was to begin after ' || strftime('%Y-%m-%dT%H:%M:%S', j.expires_at / 1000000, 'unixepoch')
               || printf('.%06dZ', j.expires_at % 1000000)
                          ELSE g.value ->> '$.reason' END,
           'due', :now + CAST(round(coalesce(g.value ->> '$.retry_in_seconds', 0) * 1000000) AS INTEGER),
           'error', json(iif(g.value ->> '$.error' IS NULL, NULL, json_set(
               g.value -> '$.error', '$.attempt', j.attempt, '$.worker', j.worker,
               '$.at', strftime('%Y-%m-%dT%H:%M:%S', :now / 1000000, 'unixepoch') || printf('.%06dZ', :now % 1000000)))),
           'state', CASE WHEN g.value ->> '$.verdict' IN ('cancel', 'expire') OR j.cancel_requested THEN 'cancelled'
                         WHEN g.value ->> '$.verdict' = 'discard' OR j.attempt >= j.max_attempts THEN 'discarded'
                         WHEN j.expires_at < :now + CAST(round(coalesce(g.value ->> '$.retry_in_seconds', 0) * 1000000) AS INTEGER) THEN 'cancelled'
                         WHEN coalesce(g.value ->> '$.retry_in_seconds', 0) > 0 THEN 'retryable'
                         ELSE 'available' END)) AS ":judged"
FROM json_each(:jobs) AS g
CROSS JOIN pgqueue_job AS j ON j.id = g.value ->> '$.id'
WHERE j.lease = g.value ->> '$.lease';

UPDATE pgqueue_sequence
SET value = (SELECT number FROM pgqueue_last) + json_array_length(:judged)
WHERE name = 'job'
RETURNING value - json_array_length(:judged) + 1 AS ":first";

UPDATE pgqueue_job
SET errors = iif(h.value ->> '$.error' IS NULL, errors, json_insert(
        CASE WHEN json_array_length(errors) >= 10 THEN json_remove(errors, '$[0]') ELSE coalesce(errors, '[]') END,
        '$[#]', json(h.value -> '$.error'))),
    state = iif(h.value ->> '$.state' IN ('retryable', 'available'), h.value ->> '$.state', state),
    lease = iif(h.value ->> '$.state' IN ('retryable', 'available'), NULL, lease),
    run_at = iif(h.value ->> '$.state' IN ('retryable', 'available'), h.value ->> '$.due', run_at),
    due_at = NULL,
    attempt = attempt - (NOT h.value ->> '$.spent'),
    position = iif(h.value ->> '$.state' = 'available', :first + h.key, position)
FROM json_each(:judged) AS h
WHERE pgqueue_job.id = h.value ->> '$.id';

SELECT json_group_array(json_object('id', value ->> '$.id', 'state', value ->> '$.state', 'reason', value ->> '$.reason'))
       AS ":ending"
FROM json_each(:judged)
WHERE value ->> '$.state' IN ('cancelled', 'discarded');

SELECT value ->> '$.id', value ->> '$.lease', value ->> '$.state' FROM json_each(:judged);
