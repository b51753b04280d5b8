-- row_security: tables whose rows the asking role may not all see.
--
-- in:   nothing
-- out:  the table's name
SELECT c.relname
FROM pg_class AS c
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'pgqueue')
  AND c.relkind IN ('r', 'p') AND row_security_active(c.oid)
ORDER BY c.relname;
