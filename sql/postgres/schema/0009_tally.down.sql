-- 0009_tally, undone: the counts and the audit are lost.

DROP TABLE pgqueue.audit;
DROP TABLE pgqueue.tally;

DELETE FROM pgqueue.migration WHERE version = '0009';
