-- turn: waits for other migrators, until this transaction ends, and says whether there is a queue.
--
-- in:   nothing
-- out:  is there a queue?
-- trap: the lock is that of the other ways to migrate; the first words name the package, not the schema, and are
--       in two pieces so that the loader leaves them alone.
SELECT pg_advisory_xact_lock(hashtextextended('pg' || 'queue migration ' || 'pgqueue', 0));

SELECT to_regclass('pgqueue.migration') IS NOT NULL;
