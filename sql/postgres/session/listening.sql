-- listening: is this still the session that listens? A pooler may have put another one in its place.
--
-- in:   pid integer: the session that listened
-- out:  boolean
SELECT pg_backend_pid() = :pid::integer AND EXISTS (SELECT FROM pg_listening_channels() AS c WHERE c = 'pgqueue');
