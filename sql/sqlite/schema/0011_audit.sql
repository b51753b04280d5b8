-- 0011_audit: an index on the time of an entry of the audit, by which the leader deletes old ones.

CREATE INDEX pgqueue_audit_at ON pgqueue_audit (at);

INSERT INTO pgqueue_migration (version) VALUES ('0011');
