-- 0002_archived_args: nothing here, where nothing is ever compressed; both stores have the same revisions.

INSERT INTO pgqueue_migration (version) VALUES ('0002');
