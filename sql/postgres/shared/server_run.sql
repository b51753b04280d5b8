-- server_run: which run of the server this is: a text that differs after each start.
--
-- A worker's row has that of its last heartbeat on a session of its own. It is compared as text, so all write it alike.
extract(epoch FROM pg_postmaster_start_time())::text
