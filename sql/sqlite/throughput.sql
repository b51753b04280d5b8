-- throughput: what has finished lately, and how long that took.
--
-- in:   seconds real: look back so far · limit integer: at most so many jobs
--       now
-- out:  state, count, waited p50, p99 in seconds from due to claimed, ran p50, p99 from claimed to finished
-- walks: pgqueue_archive_finished, state by state
-- trap: a job that ended while it waited for its next attempt has kept its last claim: only a job that
--       ended at a worker has a lease.
SELECT state, count(*),
       min(CASE WHEN waited_share >= 0.5 THEN waited END), min(CASE WHEN waited_share >= 0.99 THEN waited END),
       min(CASE WHEN ran_share >= 0.5 THEN ran END), min(CASE WHEN ran_share >= 0.99 THEN ran END)
FROM (
    SELECT state, waited, ran,
           cume_dist() OVER (PARTITION BY state, waited IS NULL ORDER BY waited) AS waited_share,
           cume_dist() OVER (PARTITION BY state, ran IS NULL ORDER BY ran) AS ran_share
    FROM (
        SELECT state,
               CASE WHEN lease IS NOT NULL THEN (claimed_at - run_at) / 1000000.0 END AS waited,
               CASE WHEN lease IS NOT NULL THEN (finished_at - claimed_at) / 1000000.0 END AS ran
        FROM pgqueue_archive
        WHERE state IN ('completed', 'cancelled', 'discarded')
          AND finished_at > :now - CAST(:seconds * 1000000 AS INTEGER)
        LIMIT CAST(:limit AS INTEGER)
    )
) AS lately
GROUP BY state;
