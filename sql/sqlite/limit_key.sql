-- limit_key: one key of a queue is treated in another way than its others.
--
-- in:   queue, key  text
--       limits JSON object of {concurrency, rate, weight}; or null: it is as the others are
-- out:  limits of the queue, as limit says it
-- then: parts/limits
INSERT INTO pgqueue_queue (name) VALUES (:queue) ON CONFLICT DO NOTHING;

DELETE FROM pgqueue_queue_key WHERE queue = :queue AND key = :key AND :limits IS NULL;

INSERT INTO pgqueue_queue_key (queue, key, limits)
SELECT :queue, :key, :limits
WHERE :limits IS NOT NULL
ON CONFLICT (queue, key) DO UPDATE SET limits = excluded.limits;
