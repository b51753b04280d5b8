-- whereabouts: the file, environment and place that the store has noted, and where it is now.
--
-- in:   worker integer or null: who asks · place JSON, put in by the backend
-- out:  a JSON document {store_id, noted, environment, place, beats}; noted is null where nothing has been noted yet; beats
--       is how many heartbeats of *worker* the store has, null for a worker that it does not know
SELECT json_object(
           'store_id', 'sqlite ' || coalesce((SELECT value FROM pgqueue_sequence WHERE name = 'origin'), 0),
           'noted', json((SELECT place FROM pgqueue_home)),
           'environment', (SELECT environment FROM pgqueue_home),
           'place', json(:place),
           'beats', (SELECT coalesce(info ->> '$.beats', 0) FROM pgqueue_worker WHERE id = CAST(:worker AS INTEGER)));
