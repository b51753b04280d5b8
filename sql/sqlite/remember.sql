-- remember: the store notes where it is, and its environment, as far as it has not done so before.
--
-- in:   environment text or null · place JSON, put in by the backend
-- out:  nothing
-- trap: what was noted stays, also when a worker elsewhere asks: a copy of the store must be adopted.
INSERT INTO pgqueue_home AS h (one, place, environment)
VALUES (1, :place, :environment)
ON CONFLICT (one) DO UPDATE
SET place = json_patch(excluded.place, h.place), environment = coalesce(h.environment, excluded.environment);
