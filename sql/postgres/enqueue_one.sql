-- enqueue_one: as enqueue, for one job that can run at once, in half the time.
--
-- in:   task, args, queue, key, priority, max_attempts, timeout_seconds, metadata, keep
--       notify, now   as for enqueue
-- out:  id
-- trap: looks for sleepers itself, as `pgqueue.asleep` does at its first try: calling two functions costs
--       more than their work. Each branch returns only the id, since a second column costs the client more. And
--       a subquery for the instant costs more than reading the clock twice.
INSERT INTO pgqueue.job (state, run_at, enqueued_at, task, args, queue, key, priority, max_attempts, timeout_seconds,
                         metadata, keep)
VALUES ('available', coalesce(:now::timestamptz, clock_timestamp()), coalesce(:now::timestamptz, clock_timestamp()),
        :task::text, :args::jsonb, :queue::text, :key::text, :priority::smallint, :max_attempts::smallint,
        :timeout_seconds::float8, :metadata::jsonb, :keep::boolean)
RETURNING CASE
    WHEN NOT :notify::boolean THEN id
    WHEN pg_try_advisory_lock(int4not(hashtext('pgqueue')), hashtext(:queue::text)) THEN
        CASE WHEN pg_advisory_unlock(int4not(hashtext('pgqueue')), hashtext(:queue::text)) THEN id ELSE id END
    WHEN pgqueue.wake(:queue::text) IS NULL THEN id
    ELSE id
END;
