-- is_dedicated: does this file hold nothing but the queue? Then its tables are made without being asked for.
--
-- in:   nothing
-- out:  alone: nothing else is in the file · made: the queue's tables exist
SELECT NOT EXISTS (SELECT 1 FROM sqlite_master
                   WHERE tbl_name NOT LIKE 'sqlite!_%' ESCAPE '!' AND substr(tbl_name, 1, length('pgqueue_')) <> 'pgqueue_'),
       EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'pgqueue_migration');
