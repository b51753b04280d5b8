-- limit_key: gives one key of a queue limits of its own.
--
-- in:   queue, key  text
--       limits JSON object of {concurrency, rate, weight}; or null: treat it as the others
-- out:  limits of the queue, as limit answers
-- then: parts/limits
INSERT INTO pgqueue.queue (name) VALUES (:queue::text) ON CONFLICT DO NOTHING;

DELETE FROM pgqueue.queue_key
WHERE queue = :queue::text AND key = :key::text COLLATE "C" AND :limits::jsonb IS NULL;

INSERT INTO pgqueue.queue_key (queue, key, limits)
SELECT :queue::text, :key::text, :limits::jsonb
WHERE :limits::jsonb IS NOT NULL
ON CONFLICT (queue, key) DO UPDATE SET limits = excluded.limits;
