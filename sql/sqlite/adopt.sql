-- adopt: the store accepts its present place and environment as its home, and gets a new identity, unlike that of its original.
--
-- in:   environment text or null: workers must name it first · paused boolean: also pause every queue · now
--       place JSON, put in by the backend
-- out:  name of each queue that is paused; then text: the store's new identity
-- walks: all of pgqueue_job, once, if *paused*
INSERT INTO pgqueue_queue (name, paused_at)
SELECT name, :now
FROM (SELECT queue AS name FROM pgqueue_job
      UNION SELECT q.value FROM pgqueue_worker AS w, json_each(w.queues) AS q
      UNION SELECT name FROM pgqueue_queue) AS known
WHERE :paused = 'true'
ON CONFLICT (name) DO UPDATE SET paused_at = coalesce(paused_at, excluded.paused_at);

INSERT INTO pgqueue_home (one, place, environment)
VALUES (1, :place, :environment)
ON CONFLICT (one) DO UPDATE
SET place = excluded.place, environment = excluded.environment;

INSERT INTO pgqueue_sequence (name, value)
VALUES ('origin', random())
ON CONFLICT (name) DO UPDATE
SET value = excluded.value;

SELECT name FROM pgqueue_queue WHERE :paused = 'true' AND paused_at IS NOT NULL ORDER BY name;

SELECT 'sqlite ' || value FROM pgqueue_sequence WHERE name = 'origin';
