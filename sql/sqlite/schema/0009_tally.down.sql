-- 0009_tally, undone: the counts and the audit are lost.

DROP TABLE pgqueue_audit;
DROP TABLE pgqueue_tally;

DELETE FROM pgqueue_migration WHERE version = '0009';
