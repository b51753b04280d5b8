-- clock: what time it is here.
--
-- in:   nothing
-- out:  seconds since the epoch
SELECT extract(epoch FROM clock_timestamp())::float8;
