-- limit_key: gives one key of a queue limits of its own.
--
-- in:   queue, key  text
--       limits JSON object of {concurrency, rate, weight}; or null: treat it as the others
-- out:  limits of the queue, as limit answers
-- then: parts/limits
INSERT INTO pgqueue_queue (name) VALUES (:queue) ON CONFLICT DO NOTHING;

DELETE FROM pgqueue_queue_key WHERE queue = :queue AND key = :key AND :limits IS NULL;

INSERT INTO pgqueue_queue_key (queue, key, limits)
SELECT :queue, :key, :limits
WHERE :limits IS NOT NULL
ON CONFLICT (queue, key) DO UPDATE SET limits = excluded.limits;
