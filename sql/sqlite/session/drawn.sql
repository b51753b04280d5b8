-- drawn: the numbers that this transaction has drawn are given to nobody else, also when it is rolled back.
--
-- in:   nothing
-- out:  the largest of them
-- trap: SQLite rolls all of a file back, so it is noted beside it (backends/sqlite/numbers.py).
SELECT pgqueue_drawn(number) FROM pgqueue_last;
