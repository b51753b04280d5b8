-- throughput: what has finished lately, and how long it took.
--
-- in:   seconds real: look back so far · limit integer: at so many jobs at the most
--       now
-- out:  state, count, waited p50, p99 in seconds from due to claimed, ran p50, p99 from claimed to finished
-- walks: pgqueue_archive_finished, state by state
SELECT state, count(*),
       min(CASE WHEN waited_share >= 0.5 THEN waited END), min(CASE WHEN waited_share >= 0.99 THEN waited END),
       min(CASE WHEN ran_share >= 0.5 THEN ran END), min(CASE WHEN ran_share >= 0.99 THEN ran END)
FROM (
    SELECT state, waited, ran,
           cume_dist() OVER (PARTITION BY state ORDER BY waited) AS waited_share,
           cume_dist() OVER (PARTITION BY state ORDER BY ran) AS ran_share
    FROM (
        SELECT state, (claimed_at - run_at) / 1000000.0 AS waited, (finished_at - claimed_at) / 1000000.0 AS ran
        FROM pgqueue_archive
        WHERE state IN ('completed', 'cancelled', 'discarded')
          AND finished_at > :now - CAST(:seconds * 1000000 AS INTEGER)
        LIMIT CAST(:limit AS INTEGER)
    )
) AS lately
GROUP BY state;
