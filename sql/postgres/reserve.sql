-- reserve: another block of ten million leases, when one is used up or its connection was lost.
--
-- in:   nothing
-- out:  the first lease of the block
-- trap: must commit durably; the sequence logs each block by itself.
SELECT nextval('pgqueue.lease');
