-- 0011_audit: what is old in the audit is found by its time, and let go.

CREATE INDEX pgqueue_audit_at ON pgqueue_audit (at);

INSERT INTO pgqueue_migration (version) VALUES ('0011');
