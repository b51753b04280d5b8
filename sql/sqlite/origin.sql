-- origin: what this store is called by those who copy from it, whatever its address is today.
--
-- in:   nothing
-- out:  text: a number that no other file has
SELECT 'sqlite ' || value FROM pgqueue_sequence WHERE name = 'origin';
