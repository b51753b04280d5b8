-- 0012_asked, undone.

ALTER TABLE pgqueue.worker DROP COLUMN asked;

DELETE FROM pgqueue.migration WHERE version = '0012';
