-- whereabouts: the database, environment and place that the store has noted, and where it is now.
--
-- in:   worker integer or null: who asks
-- out:  a JSON document {store_id, noted, environment, place, beats, server}; noted is null where nothing has been noted
--       yet; beats is how many heartbeats of *worker* the store has, null for a worker that it does not know; server
--       is a text that differs after each start of the server
SELECT jsonb_build_object(
           'store_id', coalesce(h.store_id, (
               SELECT concat_ws(' ', current_database(), 'pgqueue',
                                to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'))
               FROM pgqueue.migration WHERE version = '0001'), ''),
           'noted', h.place, 'environment', h.environment, 'place', pgqueue.place(),
           'server',
           -- include: server_run
           ,
           'beats', (SELECT coalesce(w.info ->> 'beats', '0')::bigint FROM pgqueue.worker AS w WHERE w.id = :worker::integer))::text
FROM (VALUES (true)) AS always(one)
LEFT JOIN pgqueue.home AS h USING (one);
