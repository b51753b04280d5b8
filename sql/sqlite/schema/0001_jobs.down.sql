-- 0001_jobs, undone: all jobs, live and finished, are lost.

DROP VIEW pgqueue_live_document;
DROP VIEW pgqueue_past_document;
DROP VIEW pgqueue_jobs;
DROP VIEW pgqueue_live;
DROP VIEW pgqueue_last;
DROP VIEW pgqueue_past;
DROP TABLE pgqueue_job;
DROP TABLE pgqueue_archive;
DROP TABLE pgqueue_dependency;
DROP TABLE pgqueue_workflow;
DROP TABLE pgqueue_queue;
DROP TABLE pgqueue_worker;
DROP TABLE pgqueue_leader;
DROP TABLE pgqueue_copied;
DROP TABLE pgqueue_sequence;
DROP TABLE pgqueue_migration;
