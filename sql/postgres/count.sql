-- count: live jobs by queue and state, without ever counting a large table to its end.
--
-- in:   limit integer: look at so many rows at the most
-- out:  queue, state, count, oldest_seconds: how long the first of them has been due · exact: false when
--       the limit was reached
SELECT queue, state, count(*),
       extract(epoch FROM clock_timestamp() - min(run_at))::float8,
       sum(count(*)) OVER () < :limit::integer
FROM (SELECT queue, state, run_at FROM pgqueue.job LIMIT :limit::integer) AS looked_at
GROUP BY queue, state;
