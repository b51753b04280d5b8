-- is_direct: is this the session that the driver connected to, or does a pooler stand in between?
--
-- in:   pid integer: the session's process number, as the driver received it from the server or from a pooler
-- out:  boolean
--       If it is direct, the session writes floats with all their digits from now on, whatever role and database say
-- trap: a pooler, in any mode, gives the driver a number that it made up. Asking twice whether the session is the
--       same proves nothing: a pooler with little to do gives the same session again and again.
SELECT CASE WHEN pg_backend_pid() = :pid::integer THEN set_config('extra_float_digits', '1', false) = '1' ELSE false END;
