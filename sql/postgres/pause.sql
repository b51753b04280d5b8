-- pause: claim hands out nothing from this queue; running jobs go on.
--
-- in:   queue text · now
-- out:  nothing
INSERT INTO pgqueue.queue AS q (name, paused_at)
VALUES (:queue::text, coalesce(:now::timestamptz, clock_timestamp()))
ON CONFLICT (name) DO UPDATE SET paused_at = coalesce(q.paused_at, excluded.paused_at);
