-- resume: claim hands out this queue's jobs again.
--
-- in:   queue text
-- out:  nothing
UPDATE pgqueue_queue SET paused_at = NULL WHERE name = :queue;
