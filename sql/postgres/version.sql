-- version: the schema file that was applied last.
--
-- in:   nothing
-- out:  version
-- trap: a dump without data, or a test suite that truncates all tables, keeps the tables and empties this one: then
--       the version is derived from what the catalog shows of each schema file.
SELECT coalesce(max(version), (
    SELECT CASE WHEN to_regproc('pgqueue.is_sound') IS NOT NULL THEN '0013'
                WHEN EXISTS (SELECT FROM pg_attribute AS a
                             WHERE a.attrelid = to_regclass('pgqueue.worker') AND a.attname = 'asked'
                               AND NOT a.attisdropped) THEN '0012'
                WHEN to_regclass('pgqueue.audit_at') IS NOT NULL THEN '0011'
                WHEN to_regclass('pgqueue.recent') IS NOT NULL THEN '0010'
                WHEN to_regclass('pgqueue.tally') IS NOT NULL THEN '0009'
                WHEN to_regclass('pgqueue.queue_key') IS NOT NULL THEN '0008'
                WHEN to_regclass('pgqueue.job_expires') IS NOT NULL THEN '0007'
                WHEN to_regclass('pgqueue.firing') IS NOT NULL THEN '0006'
                WHEN EXISTS (SELECT FROM pg_attribute AS a
                             WHERE a.attrelid = c.oid AND a.attname = 'key' AND NOT a.attisdropped) THEN '0005'
                WHEN c.relreplident = 'f' THEN '0004'
                WHEN EXISTS (SELECT FROM pg_class AS d
                             WHERE d.oid = to_regclass('pgqueue.dependency') AND 'fillfactor=40' = ANY (d.reloptions)) THEN '0003'
                WHEN EXISTS (SELECT FROM pg_attribute AS a
                             WHERE a.attrelid = c.oid AND a.attname = 'args' AND a.attstorage = 'e') THEN '0002'
                ELSE '0001' END
    FROM pg_class AS c
    WHERE c.oid = to_regclass('pgqueue.archive')))
FROM pgqueue.migration;
