-- present: makes this session the worker's presence: when the process dies, its session ends, and the lock is free.
--
-- in:   worker integer
-- out:  pid of the session; true when it holds the lock
SELECT pg_backend_pid(), pg_try_advisory_lock(hashtext('pgqueue'), :worker::integer);
