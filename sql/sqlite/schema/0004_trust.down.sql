-- 0004_trust, undone.

DROP TABLE pgqueue_home;

ALTER TABLE pgqueue_job DROP COLUMN due_at;

DELETE FROM pgqueue_migration WHERE version = '0004';
