-- reserve: another block of ten million leases, when one is used up or its connection was lost.
--
-- in:   nothing
-- out:  the first lease of the block
UPDATE pgqueue_sequence SET value = value + 10000000 WHERE name = 'lease' RETURNING value;
