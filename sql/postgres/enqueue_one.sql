-- enqueue_one: one job that can run at once, as enqueue does it, in half the time.
--
-- in:   task, args, queue, priority, max_attempts, timeout_seconds
--       notify, now   as for enqueue
-- out:  id, and nothing of interest
-- trap: that nobody sleeps is found out here, as `pgqueue.asleep` does at its first try: two functions cost
--       more than what they do. And a subquery for the instant costs more than to look at the clock twice.
INSERT INTO pgqueue.job (state, run_at, enqueued_at, task, args, queue, priority, max_attempts, timeout_seconds)
VALUES ('available', coalesce(:now::timestamptz, clock_timestamp()), coalesce(:now::timestamptz, clock_timestamp()),
        :task::text, :args::jsonb, :queue::text, :priority::smallint, :max_attempts::smallint,
        :timeout_seconds::float8)
RETURNING id,
    CASE WHEN NOT :notify::boolean THEN NULL
         WHEN pg_try_advisory_lock(int4not(hashtext('pgqueue')), hashtext(:queue::text))
             THEN pg_advisory_unlock(int4not(hashtext('pgqueue')), hashtext(:queue::text))::text
         ELSE pgqueue.wake(:queue::text)::text
    END;
