-- turn: says whether there is a queue; the file's one lock makes migrators take turns.
--
-- in:   nothing
-- out:  is there a queue?
SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'pgqueue_migration');
