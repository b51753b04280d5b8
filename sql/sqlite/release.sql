-- release: hands jobs back without spending the attempt: at shutdown (now), for a snooze (later).
--
-- in:   jobs   JSON array of {id, lease, delay_seconds, unknown, unstarted}, in id order; unknown: this worker does not know
--              its task, and the job keeps the time since when it has been due; unstarted: its attempt has not begun,
--              and counts for no rate
--       keep, now   as for complete
-- out:  id, lease, state; a missing one was lost to another owner
-- then: parts/archive, parts/settle
-- trap: a job that was asked to cancel is cancelled instead of released.
SELECT json_group_array(json_object(
           'id', j.id, 'lease', j.lease, 'unknown', g.value ->> '$.unknown', 'delay', CAST(round(coalesce(g.value ->> '$.delay_seconds', 0) * 1000000) AS INTEGER),
           'state', CASE WHEN j.cancel_requested THEN 'cancelled'
                         WHEN coalesce(g.value ->> '$.delay_seconds', 0) > 0 THEN 'scheduled'
                         ELSE 'available' END)) AS ":judged"
FROM json_each(:jobs) AS g
CROSS JOIN pgqueue_job AS j ON j.id = g.value ->> '$.id'
WHERE j.lease = g.value ->> '$.lease';

UPDATE pgqueue_sequence
SET value = (SELECT number FROM pgqueue_last) + json_array_length(:judged)
WHERE name = 'job'
RETURNING value - json_array_length(:judged) + 1 AS ":first";

UPDATE pgqueue_start
SET count = pgqueue_start.count - g.count
FROM (SELECT j.queue, scope.value AS key, j.claimed_at AS at, count(*) AS count
      FROM json_each(:jobs) AS r
      CROSS JOIN pgqueue_job AS j ON j.id = r.value ->> '$.id'
      CROSS JOIN json_each(iif(j.key = '', json_array(''), json_array('', j.key))) AS scope
      WHERE j.lease = r.value ->> '$.lease' AND r.value ->> '$.unstarted' AND j.permit IS NOT NULL
      GROUP BY 1, 2, 3) AS g
WHERE pgqueue_start.queue = g.queue AND pgqueue_start.key = g.key AND pgqueue_start.at = g.at;

UPDATE pgqueue_job
SET state = h.value ->> '$.state',
    lease = NULL,
    worker = NULL,
    attempt = attempt - 1,
    position = :first + h.key,
    due_at = CASE WHEN h.value ->> '$.unknown' THEN coalesce(due_at, run_at)
                  WHEN h.value ->> '$.state' = 'available' THEN due_at END,
    run_at = iif(h.value ->> '$.state' = 'scheduled', :now + (h.value ->> '$.delay'), run_at)
FROM json_each(:judged) AS h
WHERE pgqueue_job.id = h.value ->> '$.id' AND h.value ->> '$.state' <> 'cancelled';

SELECT json_group_array(json_object('id', value ->> '$.id', 'state', 'cancelled')) AS ":ending"
FROM json_each(:judged)
WHERE value ->> '$.state' = 'cancelled';

SELECT value ->> '$.id', value ->> '$.lease', value ->> '$.state' FROM json_each(:judged);
