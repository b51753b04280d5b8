-- leave: unregisters a worker process that holds no job any more.
--
-- in:   worker integer
-- out:  nothing
DELETE FROM pgqueue_worker WHERE id = CAST(:worker AS INTEGER);
