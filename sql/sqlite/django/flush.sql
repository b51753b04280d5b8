-- flush: deletes jobs, schedules and what was recorded about them; the tables and their version stay.
--
-- in:   nothing
-- out:  nothing
DELETE FROM pgqueue_job;

DELETE FROM pgqueue_archive;

DELETE FROM pgqueue_dependency;

DELETE FROM pgqueue_workflow;

DELETE FROM pgqueue_queue;

DELETE FROM pgqueue_schedule;

DELETE FROM pgqueue_firing;

DELETE FROM pgqueue_tally;

DELETE FROM pgqueue_audit;
