-- sweep: finds, counts and repairs what should not exist: blocked jobs whose parents have all
-- finished, and running jobs whose worker is unknown.
--
-- in:   limit integer · keep, now   as for complete
-- out:  stranded, orphaned: how many of each
-- then: parts/settle, parts/archive
-- trap: orphans come from a worker that was taken for dead and claimed once more before it died. A claim dated in
--       the future counts as old: the clock was ahead.
WITH late AS MATERIALIZED (
    SELECT j.id
    FROM pgqueue.job AS j
    WHERE j.state = 'running'
      AND NOT EXISTS (SELECT FROM pgqueue.worker AS w WHERE w.id = j.worker)
      AND NOT j.claimed_at BETWEEN coalesce(:now::timestamptz, clock_timestamp()) - interval '1 minute'
                               AND coalesce(:now::timestamptz, clock_timestamp()) + interval '1 second'
    LIMIT :limit::integer
    FOR NO KEY UPDATE SKIP LOCKED
), placed AS MATERIALIZED (
    SELECT id, nextval('pgqueue.position') AS position FROM (SELECT id FROM late ORDER BY id) AS late
), returned AS (
    UPDATE pgqueue.job AS j
    SET state = 'available', lease = NULL, attempt = j.attempt - 1, rescues = j.rescues + 1,
        position = placed.position
    FROM placed
    WHERE j.id = ANY (ARRAY[placed.id])
    RETURNING j.queue
), woken AS (
    SELECT count(pgqueue.wake(queue)) FROM (SELECT DISTINCT queue FROM returned) AS queues
), stranded AS MATERIALIZED (
    SELECT DISTINCT d.parent_id
    FROM (SELECT id FROM pgqueue.job WHERE state = 'blocked' ORDER BY id LIMIT :limit::integer) AS j
    CROSS JOIN LATERAL (
        SELECT parent_id FROM pgqueue.dependency WHERE child_id = j.id AND outcome IS NULL OFFSET 0
    ) AS d
    WHERE (SELECT p.id FROM pgqueue.job AS p WHERE p.id = d.parent_id) IS NULL
), noted AS (
    SELECT set_config('pgqueue_local.finished', coalesce(jsonb_object_agg(state, ids), '{}')::text, true)
    FROM (
        SELECT coalesce(a.state, 'completed') AS state, array_agg(s.parent_id)::text AS ids
        FROM stranded AS s
        LEFT JOIN LATERAL (SELECT state FROM pgqueue.archive WHERE id = s.parent_id OFFSET 0) AS a ON true
        GROUP BY 1
    ) AS finished
)
SELECT (SELECT count(*) FROM stranded), (SELECT count(*) FROM returned)
FROM noted, woken;
