-- hand_over: completes jobs, and claims the next one of each key that they have left free in an ordered queue.
--
-- in:     jobs, keep, now                                 as for complete
--         queue text · worker integer · lease bigint · limit integer   as for claim
-- out:    as complete; then the jobs that were claimed, as claim answers, in no order. A row of NULLs: there is none; no row: the
--         queue is not served so, because it is not ordered, or has other limits too
-- behind: complete, parts/settle
-- walks:  job_permit; job_turn, for key '' job_plain
-- trap:   takes no lock of a key: the row of the job that ends is that lock. As long as this transaction is open, every other one
--         sees that job run, and takes none of its key; later it sees the next one. So only where both are one transaction,
--         and only keys whose job `complete` has really ended. Two jobs of a key run only where the queue was not ordered
--         when they began: then each end sees the other one run, and takes none.
WITH place AS MATERIALIZED (
    SELECT coalesce(:now::timestamptz, clock_timestamp()) AS instant
    FROM pgqueue.queue AS q
    WHERE q.name = :queue::text AND q.paused_at IS NULL AND q.limits = '{"ordered": true}'
      AND NOT EXISTS (SELECT FROM pgqueue.queue_key AS e WHERE e.queue = :queue::text)
), chosen AS MATERIALIZED (
    SELECT locked.ctid
    FROM place
    CROSS JOIN LATERAL (SELECT current_setting('pgqueue_local.left')::text[] AS pairs) AS ended
    CROSS JOIN LATERAL (
        SELECT ended.pairs[n][2] AS key
        FROM generate_subscripts(ended.pairs, 1) AS n
        WHERE ended.pairs[n][1] = :queue::text
    ) AS k
    CROSS JOIN LATERAL (
        SELECT
-- include: first_in_line
        AS ctid
    ) AS first
    CROSS JOIN LATERAL (
        SELECT j.ctid FROM pgqueue.job AS j
        WHERE j.ctid = first.ctid AND j.state = 'available'
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS locked
    LIMIT :limit::integer
), claimed AS (
    UPDATE pgqueue.job AS j
    SET state = 'running',
        attempt = attempt + 1,
        lease = :lease::bigint,
        worker = :worker::integer,
        claimed_at = place.instant,
        permit = coalesce(j.permit, nextval('pgqueue.permit'))
    FROM place
    WHERE j.ctid = ANY (ARRAY(SELECT ctid FROM chosen))
    RETURNING
-- include: claimed
)
SELECT claimed.* FROM place LEFT JOIN claimed ON true;
