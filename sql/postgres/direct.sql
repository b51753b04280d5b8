-- direct: is this the very session that the driver was told of, or does a pooler stand in between?
--
-- in:   pid integer: the session's process, as the server, or the pooler, told it to the driver
-- out:  boolean
-- trap: a pooler tells a number of its own making, whatever its mode. Asking twice whether the session is the
--       same proves nothing: a pooler that is not busy gives the same one again and again.
SELECT pg_backend_pid() = :pid::integer;
