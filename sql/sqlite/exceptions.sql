-- exceptions: the keys that have limits of their own.
--
-- in:   nothing
-- out:  queue, key, limits (JSON)
SELECT queue, key, limits FROM pgqueue_queue_key ORDER BY queue, key;
