-- flush: deletes jobs, schedules and what was recorded about them; the tables and their version stay.
--
-- in:   nothing
-- out:  nothing
TRUNCATE pgqueue.job, pgqueue.archive, pgqueue.dependency, pgqueue.workflow, pgqueue.queue,
         pgqueue.schedule, pgqueue.firing, pgqueue.tally, pgqueue.audit;
