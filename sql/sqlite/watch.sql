-- watch: each worker as a rescuer sees it.
--
-- in:   present JSON array of the workers whose presence locks are held
-- out:  id · beat: text that changes with each sign of life · well: its lock, if it has one, is held, and
--       nobody has suspected it · back: always true, as there is no server that starts
SELECT id, CAST(heartbeat_at AS TEXT),
       suspected_at IS NULL AND (NOT session OR id IN (SELECT value FROM json_each(:present))),
       true
FROM pgqueue_worker;
