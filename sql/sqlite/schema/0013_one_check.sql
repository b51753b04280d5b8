-- 0013_one_check: nothing here; PostgreSQL's tables are checked another way from this version on, and both stores count alike.

INSERT INTO pgqueue_migration (version) VALUES ('0013');
