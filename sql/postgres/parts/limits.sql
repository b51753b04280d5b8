-- limits: combines what is declared for a queue with what was changed, and makes its workers read it again.
--
-- in:   queue text
-- out:  the result: JSON object, or null. A lowest share is no limit: the plain claim goes on serving the queue
WITH meant AS MATERIALIZED (
    SELECT f.said,
           CASE WHEN EXISTS (SELECT FROM pgqueue.queue_key AS k WHERE k.queue = :queue::text)
                THEN coalesce(f.limits, '{}') ELSE f.limits END AS limits
    FROM (
        SELECT jsonb_object_agg(c.key, c.value) AS said,
               jsonb_object_agg(c.key, c.value) FILTER (WHERE c.key <> 'lowest_share') AS limits
        FROM pgqueue.queue AS q
        CROSS JOIN jsonb_each(coalesce(q.declared, '{}') || coalesce(q.changes, '{}')) AS c
        WHERE q.name = :queue::text AND c.value <> 'null'
    ) AS f
), kept AS (
    UPDATE pgqueue.queue AS q
    SET limits = meant.limits
    FROM meant
    WHERE q.name = :queue::text AND q.limits IS DISTINCT FROM meant.limits
), woken AS (
    SELECT count(pgqueue.wake(:queue::text))
)
SELECT coalesce(meant.said, meant.limits)::text FROM meant, woken;
