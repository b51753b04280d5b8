-- adopt: the store accepts its present place and environment as its home, and gets a new identity, unlike that of its original.
--
-- in:   environment text or null: workers must name it first · paused boolean: also pause every queue · now
-- out:  name of each queue that is paused; then text: the store's new identity
-- walks: all of pgqueue.job, once, if *paused*
INSERT INTO pgqueue.queue AS q (name, paused_at)
SELECT name, coalesce(:now::timestamptz, clock_timestamp())
FROM (SELECT queue FROM pgqueue.job UNION SELECT unnest(queues) FROM pgqueue.worker UNION SELECT name FROM pgqueue.queue) AS known(name)
WHERE :paused::boolean
ORDER BY name
ON CONFLICT (name) DO UPDATE SET paused_at = coalesce(q.paused_at, excluded.paused_at)
RETURNING name;

INSERT INTO pgqueue.home AS h (place, environment, store_id)
SELECT pgqueue.place(), :environment::text, concat_ws(' ', current_database(), 'pgqueue', gen_random_uuid()::text)
ON CONFLICT (one) DO UPDATE
SET place = excluded.place, environment = excluded.environment, store_id = excluded.store_id
RETURNING store_id;
