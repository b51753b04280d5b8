-- 0006_schedules, undone: schedules, and what became of their instants, go with it.

DROP TABLE pgqueue.firing;
DROP TABLE pgqueue.schedule;

DELETE FROM pgqueue.migration WHERE version = '0006';
