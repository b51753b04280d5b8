-- 0013_one_check, undone.

DELETE FROM pgqueue_migration WHERE version = '0013';
