-- drawn: no other transaction gets the ids that this one has drawn, even if this one is rolled back.
--
-- in:   nothing
-- out:  the largest of them
-- trap: SQLite rolls back everything in the file, so the largest id is noted in a file beside it (backends/sqlite/numbers.py).
SELECT pgqueue_drawn(number) FROM pgqueue_last;
