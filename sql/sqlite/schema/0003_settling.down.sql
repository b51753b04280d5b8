-- 0003_settling, undone.

DELETE FROM pgqueue_migration WHERE version = '0003';
