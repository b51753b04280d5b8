-- 0003_settling: nothing here, where settling is no function; both stores have the same revisions.

INSERT INTO pgqueue_migration (version) VALUES ('0003');
