-- watch: each worker as a rescuer sees it.
--
-- in:   nothing
-- out:  id · beat: text that changes with each sign of life · well: its session, if it has one, exists, and
--       no rescuer has suspected it or taken jobs from it · back: its last heartbeat came from a session
--       of the server's present run
-- trap: asked every second, so it is one short statement that only reads. It does not answer how long ago a beat
--       was: the rescuer measures that by its own clock (worker/life.py).
WITH present AS MATERIALIZED (
    -- include: present
)
SELECT w.id, extract(epoch FROM w.heartbeat_at)::text,
       w.suspected_at IS NULL AND w.remaining IS NULL AND (NOT w.session OR w.id IN (SELECT worker FROM present)),
       w.info ->> 'server' IS NOT DISTINCT FROM
       -- include: server_run
FROM pgqueue.worker AS w;
