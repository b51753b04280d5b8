-- 0006_schedules, undone: schedules and the history of their instants are lost.

DROP TABLE pgqueue.firing;
DROP TABLE pgqueue.schedule;

DELETE FROM pgqueue.migration WHERE version = '0006';
