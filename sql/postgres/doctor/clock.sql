-- clock: the server's time.
--
-- in:   nothing
-- out:  seconds since the epoch
SELECT extract(epoch FROM clock_timestamp())::float8;
