-- pause: claim hands out nothing from this queue; running jobs go on.
--
-- in:   queue text · now
-- out:  nothing
INSERT INTO pgqueue_queue (name, paused_at)
VALUES (:queue, :now)
ON CONFLICT (name) DO UPDATE SET paused_at = coalesce(paused_at, excluded.paused_at);
