-- 0011_audit, undone.

DROP INDEX pgqueue_audit_at;

DELETE FROM pgqueue_migration WHERE version = '0011';
