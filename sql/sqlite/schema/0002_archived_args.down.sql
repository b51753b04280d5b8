-- 0002_archived_args, undone.

DELETE FROM pgqueue_migration WHERE version = '0002';
