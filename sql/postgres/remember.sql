-- remember: notes where the store is, and its environment, as far as neither has been noted before.
--
-- in:   environment text or null
-- out:  nothing
-- trap: what was noted stays, also when a worker elsewhere asks: a copy of the store must be adopted. store_id
--       stays too: other stores know this one by it, if they have copied jobs from here.
INSERT INTO pgqueue.home AS h (place, environment, store_id)
SELECT pgqueue.place(), :environment::text, coalesce((
    SELECT concat_ws(' ', current_database(), 'pgqueue', to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'))
    FROM pgqueue.migration WHERE version = '0001'), gen_random_uuid()::text)
ON CONFLICT (one) DO UPDATE
SET place = excluded.place || h.place, environment = coalesce(h.environment, excluded.environment);
