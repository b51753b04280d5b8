-- exceptions: the keys that are treated in another way than the others of their queues.
--
-- in:   nothing
-- out:  queue, key, limits (JSON)
SELECT queue, key, limits FROM pgqueue_queue_key ORDER BY queue, key;
