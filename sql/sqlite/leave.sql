-- leave: a worker process goes, with nothing left in its hands.
--
-- in:   worker integer
-- out:  nothing
DELETE FROM pgqueue_worker WHERE id = CAST(:worker AS INTEGER);
