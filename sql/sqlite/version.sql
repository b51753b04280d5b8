-- version: the schema file that was applied last.
--
-- in:   nothing
-- out:  version
-- trap: a test suite that empties all tables keeps the tables and empties this one: then the version is derived from
--       what each schema file made. 0013 makes nothing, so what 0012 made counts as 0013.
SELECT coalesce(max(version), (
    SELECT max(CASE WHEN EXISTS (SELECT 1 FROM pragma_table_info('pgqueue_worker') WHERE name = 'asked') THEN '0013'
                    WHEN EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'pgqueue_audit_at') THEN '0011'
                    WHEN EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'pgqueue_recent') THEN '0010'
                    WHEN EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'pgqueue_tally') THEN '0009'
                    WHEN EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'pgqueue_queue_key') THEN '0008'
                    WHEN EXISTS (SELECT 1 FROM pragma_table_info('pgqueue_job') WHERE name = 'keep') THEN '0007'
                    WHEN name = 'pgqueue_firing' THEN '0006'
                    WHEN EXISTS (SELECT 1 FROM pragma_table_info('pgqueue_archive') WHERE name = 'key') THEN '0005'
                    WHEN name = 'pgqueue_home' THEN '0004' ELSE '0003' END)
    FROM sqlite_master WHERE type = 'table' AND name IN ('pgqueue_archive', 'pgqueue_home', 'pgqueue_firing')))
FROM pgqueue_migration;
