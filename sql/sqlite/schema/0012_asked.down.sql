-- 0012_asked, undone.

ALTER TABLE pgqueue_worker DROP COLUMN asked;

DELETE FROM pgqueue_migration WHERE version = '0012';
