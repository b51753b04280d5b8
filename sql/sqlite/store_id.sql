-- store_id: the store's identity for copies, whatever its address is today.
--
-- in:   nothing
-- out:  text: a number that no other file has
SELECT 'sqlite ' || value FROM pgqueue_sequence WHERE name = 'origin';
