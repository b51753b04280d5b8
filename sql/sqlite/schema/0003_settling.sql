-- 0003_settling: nothing to do, as settling is no function here; both stores have the same revisions.

INSERT INTO pgqueue_migration (version) VALUES ('0003');
