-- throughput: what has finished lately, and how long that took.
--
-- in:   seconds float8: look back so far · limit integer: at most so many jobs
-- out:  state, count, waited p50, p99 in seconds from due to claimed, ran p50, p99 from claimed to finished
-- walks: the block range index on finished_at, in today's partition
-- trap: a job that ended while it waited for its next attempt has kept its last claim: only a job that
--       ended at a worker has a lease. An index does not serve a comparison with clock_timestamp(), which changes
--       while the statement runs: the whole archive would be read.
SELECT state, count(*),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY waited), percentile_cont(0.99) WITHIN GROUP (ORDER BY waited),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY ran), percentile_cont(0.99) WITHIN GROUP (ORDER BY ran)
FROM (
    SELECT state,
           CASE WHEN lease IS NOT NULL THEN extract(epoch FROM claimed_at - run_at)::float8 END AS waited,
           CASE WHEN lease IS NOT NULL THEN extract(epoch FROM finished_at - claimed_at)::float8 END AS ran
    FROM pgqueue.archive
    WHERE finished_at > statement_timestamp() - make_interval(secs => :seconds::float8)
    LIMIT :limit::integer
) AS lately
GROUP BY state;
