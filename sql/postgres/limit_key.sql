-- limit_key: one key of a queue is treated in another way than its others.
--
-- in:   queue, key  text
--       limits JSON object of {concurrency, rate, weight}; or null: it is as the others are
-- out:  limits of the queue, as limit says it
-- then: parts/limits
INSERT INTO pgqueue.queue (name) VALUES (:queue::text) ON CONFLICT DO NOTHING;

DELETE FROM pgqueue.queue_key
WHERE queue = :queue::text AND key = :key::text COLLATE "C" AND :limits::jsonb IS NULL;

INSERT INTO pgqueue.queue_key (queue, key, limits)
SELECT :queue::text, :key::text, :limits::jsonb
WHERE :limits::jsonb IS NOT NULL
ON CONFLICT (queue, key) DO UPDATE SET limits = excluded.limits;
