-- turn: waits until no other migrator runs, keeps others out until this transaction ends, and says whether there is a queue.
--
-- in:   nothing
-- out:  is there a queue?
-- trap: the same lock as that of the other ways to migrate. The first words name the package, not the schema; they are
--       split in two, so that the loader does not replace them.
SELECT pg_advisory_xact_lock(hashtextextended('pg' || 'queue migration ' || 'pgqueue', 0));

SELECT to_regclass('pgqueue.migration') IS NOT NULL;
