-- constraints: constraints that were added to a large table without checking its rows.
--
-- in:   nothing
-- out:  table, constraint, the statement that checks these rows
SELECT conrelid::regclass::text, conname::text, format('ALTER TABLE %s VALIDATE CONSTRAINT %I', conrelid::regclass, conname)
FROM pg_constraint
WHERE connamespace = 'pgqueue'::regnamespace AND NOT convalidated
ORDER BY 1, 2;
