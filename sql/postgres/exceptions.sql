-- exceptions: the keys that have limits of their own.
--
-- in:   nothing
-- out:  queue, key, limits (JSON)
SELECT queue, key, limits::text FROM pgqueue.queue_key ORDER BY queue, key;
