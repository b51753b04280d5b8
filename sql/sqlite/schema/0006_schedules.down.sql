-- 0006_schedules, undone: schedules and the history of their instants are lost.

DROP VIEW pgqueue_schedule_document;
DROP TABLE pgqueue_firing;
DROP TABLE pgqueue_schedule;

DELETE FROM pgqueue_migration WHERE version = '0006';
