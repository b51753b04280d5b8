-- settle: tells the children of the jobs that have just finished. Every way to finish ends here.
--
-- in:   the setting pgqueue_local.finished, {state: ids, as an array is written}
--       keep   as for complete
--       now
-- out:  again: children were cancelled because a parent failed; they are listed in pgqueue_local.ending for
--       archive, and then their own children come next
--       queues: text array of the queues that have new work, '@' for what is due later; or null
-- trap: an edge is decided once (outcome), children are locked in id order, and what several parents take
--       off the count of one child is summed first: 500 parents of one child are one update. blocked_by is reduced
--       in the locked row, not from the snapshot.
WITH finished AS MATERIALIZED (
    SELECT (ids ->> 'completed')::bigint[] AS completed,
           (ids ->> 'cancelled')::bigint[] AS cancelled,
           (ids ->> 'discarded')::bigint[] AS discarded
    FROM (SELECT current_setting('pgqueue_local.finished')::jsonb AS ids) AS f
), decided AS (
    UPDATE pgqueue.dependency AS d
    SET outcome = CASE WHEN d.parent_id IN (SELECT unnest(cancelled) FROM finished) THEN 'cancelled'
                       WHEN d.parent_id IN (SELECT unnest(discarded) FROM finished) THEN 'discarded'
                       ELSE 'completed' END
    WHERE d.parent_id = ANY ((SELECT completed || cancelled || discarded FROM finished)::bigint[])
      AND d.outcome IS NULL
    RETURNING d.child_id, d.parent_id, d.policy, d.outcome
), locked AS MATERIALIZED (
    SELECT child.*, least(cancelled, discarded) AS spoiled_by, nextval('pgqueue.position') AS position
    FROM (
        SELECT child_id AS id,
               count(*)::integer AS decided,
               min(parent_id) FILTER (WHERE outcome = 'cancelled' AND policy = 'cancel') AS cancelled,
               min(parent_id) FILTER (WHERE outcome = 'discarded' AND policy = 'cancel') AS discarded
        FROM decided
        GROUP BY child_id
        ORDER BY child_id
    ) AS child
    CROSS JOIN LATERAL (
        SELECT FROM pgqueue.job AS j WHERE j.id = child.id AND j.state = 'blocked' FOR NO KEY UPDATE
    ) AS blocked
), freed AS (
    UPDATE pgqueue.job AS j
    SET blocked_by = j.blocked_by - locked.decided,
        state = CASE WHEN j.blocked_by > locked.decided THEN 'blocked'
                     WHEN j.run_at > coalesce(:now::timestamptz, clock_timestamp()) THEN 'scheduled'
                     ELSE 'available' END,
        position = CASE WHEN j.blocked_by > locked.decided THEN j.position ELSE locked.position END,
        run_at = CASE WHEN j.blocked_by > locked.decided THEN j.run_at
                      ELSE greatest(j.run_at, coalesce(:now::timestamptz, clock_timestamp())) END
    FROM locked
    WHERE j.id = ANY (ARRAY[locked.id]) AND locked.spoiled_by IS NULL
    RETURNING j.queue, j.state
), woken AS (
    SELECT count(pgqueue.wake(topic)), array_agg(topic) AS queues
    FROM (SELECT DISTINCT CASE state WHEN 'available' THEN queue ELSE '@' END
          FROM freed WHERE state <> 'blocked') AS topics(topic)
), told AS (
    SELECT count(pgqueue.wake('#' || id)) FROM finished, unnest(completed || cancelled || discarded) AS id
    WHERE (SELECT pgqueue.asleep('#'))
), ending AS (
    SELECT count(*) > 0 AS again,
           set_config('pgqueue_local.ending', coalesce(jsonb_agg(jsonb_build_object(
               'id', id, 'state', 'cancelled', 'cause', spoiled_by,
               'reason', format('parent %s was %s', spoiled_by,
                                CASE spoiled_by WHEN cancelled THEN 'cancelled' ELSE 'discarded' END))), '[]')::text, true)
    FROM locked
    WHERE spoiled_by IS NOT NULL
)
SELECT again, queues FROM ending, woken, told;
