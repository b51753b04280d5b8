-- 0011_audit, undone.

DROP FUNCTION pgqueue.forget_audit(timestamptz, integer);
DROP INDEX pgqueue.audit_at;

DELETE FROM pgqueue.migration WHERE version = '0011';
