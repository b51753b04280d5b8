-- constraints: those added to a large table without a check of the rows that it had.
--
-- in:   nothing
-- out:  table, constraint, the statement that checks these rows
SELECT conrelid::regclass::text, conname::text, format('ALTER TABLE %s VALIDATE CONSTRAINT %I', conrelid::regclass, conname)
FROM pg_constraint
WHERE connamespace = 'pgqueue'::regnamespace AND NOT convalidated
ORDER BY 1, 2;
