-- remember: notes where the store is, and its environment, as far as neither has been noted before.
--
-- in:   environment text or null · place JSON, put in by the backend
-- out:  nothing
-- trap: what was noted stays, also when a worker elsewhere asks: a copy of the store must be adopted.
INSERT INTO pgqueue_home AS h (one, place, environment)
VALUES (1, :place, :environment)
ON CONFLICT (one) DO UPDATE
SET place = json_patch(excluded.place, h.place), environment = coalesce(h.environment, excluded.environment);
