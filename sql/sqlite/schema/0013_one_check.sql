-- 0013_one_check: nothing to do, as only PostgreSQL's tables are checked in another way; both stores have the same
-- revisions.

INSERT INTO pgqueue_migration (version) VALUES ('0013');
