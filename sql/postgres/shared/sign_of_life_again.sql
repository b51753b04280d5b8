-- sign_of_life_again: what a sign of life changes in the worker's row, if that is there: after sign_of_life.
--
-- The rest of the profile stays as the worker joined. Nobody suspects it any more.
ON CONFLICT (id) DO UPDATE
SET heartbeat_at = excluded.heartbeat_at, session = excluded.session, running = excluded.running,
    suspected_at = NULL, remaining = NULL, queues = excluded.queues, info = excluded.info
