-- present: this session is a worker's life; when the process dies, so does the session, and frees the lock.
--
-- in:   worker integer
-- out:  pid of the session; true when it holds the lock
SELECT pg_backend_pid(), pg_try_advisory_lock(hashtext('pgqueue'), :worker::integer);
