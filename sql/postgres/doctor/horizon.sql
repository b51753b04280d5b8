-- horizon: who keeps vacuum from removing dead rows.
--
-- in:   limit integer
-- out:  kind, name, pid or null, seconds since it began or null where nobody knows, age in transactions; the
--       oldest first
-- trap: never shows what a session runs: statements hold arguments. Without pg_monitor, the sessions of other roles are
--       seen, but not since when they run. Sessions of other databases do not matter to our tables.
SELECT kind, name, pid, extract(epoch FROM clock_timestamp() - since)::float8, age
FROM (
    SELECT 'session' AS kind,
           concat_ws(', ', nullif(application_name, ''), usename, coalesce(state, backend_type)) AS name,
           pid, xact_start AS since, greatest(age(backend_xmin), age(backend_xid)) AS age
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
    UNION ALL
    SELECT 'prepared transaction', concat_ws(', ', gid, owner), NULL, prepared, age(transaction)
    FROM pg_prepared_xacts
    WHERE database = current_database()
    UNION ALL
    SELECT 'replication slot', slot_name, active_pid, NULL, age(xmin)
    FROM pg_replication_slots
    WHERE xmin IS NOT NULL
    UNION ALL
    SELECT 'standby', coalesce(nullif(application_name, ''), client_addr::text), pid, NULL, age(backend_xmin)
    FROM pg_stat_replication
    WHERE backend_xmin IS NOT NULL
) AS holder
ORDER BY age DESC, since
LIMIT :limit::integer;
