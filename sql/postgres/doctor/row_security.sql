-- row_security: tables of which the role that asks may not see all rows.
--
-- in:   nothing
-- out:  the table's name
SELECT c.relname
FROM pg_class AS c
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'pgqueue')
  AND c.relkind IN ('r', 'p') AND row_security_active(c.oid)
ORDER BY c.relname;
