-- autovacuum: settings that may keep autovacuum from its work.
--
-- in:   nothing
-- out:  setting, value: the server's; then those of tables that override them,
--       named table.setting
SELECT name, setting FROM pg_settings WHERE name IN ('autovacuum', 'track_counts')
UNION ALL
SELECT c.relname || '.' || o.option_name, o.option_value
FROM pg_class AS c
CROSS JOIN LATERAL pg_options_to_table(c.reloptions) AS o
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'pgqueue')
  AND c.relkind = 'r' AND o.option_name LIKE 'autovacuum%';
