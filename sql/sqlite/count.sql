-- count: live jobs by queue and state, without ever counting a large table to its end.
--
-- in:   limit integer: look at so many rows at the most
--       now
-- out:  queue, state, count, oldest_seconds: how long the first of them has been due · exact: false when
--       the limit was reached
SELECT queue, state, count(*),
       (:now - min(run_at)) / 1000000.0,
       sum(count(*)) OVER () < CAST(:limit AS INTEGER)
FROM (SELECT queue, state, run_at FROM pgqueue_job LIMIT CAST(:limit AS INTEGER)) AS looked_at
GROUP BY queue, state;
