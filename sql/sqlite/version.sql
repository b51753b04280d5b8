-- version: the schema file that was applied last.
--
-- in:   nothing
-- out:  version
SELECT max(version) FROM pgqueue_migration;
