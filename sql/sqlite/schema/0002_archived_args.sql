-- 0002_archived_args: nothing to do, as SQLite compresses nothing; both stores have the same revisions.

INSERT INTO pgqueue_migration (version) VALUES ('0002');
