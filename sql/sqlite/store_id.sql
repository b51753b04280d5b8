-- store_id: the store's identity for copies; its address may change.
--
-- in:   nothing
-- out:  text: a number that no other file has
SELECT 'sqlite ' || value FROM pgqueue_sequence WHERE name = 'origin';
