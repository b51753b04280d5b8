-- tables: how many dead rows the tables with the most changes have, and how large they are.
--
-- in:   nothing
-- out:  table, live, dead rows as last counted, bytes of the table alone, bytes of its indexes, seconds since
--       it was last vacuumed or null for never
SELECT s.relname, s.n_live_tup, s.n_dead_tup, pg_relation_size(s.relid), pg_indexes_size(s.relid),
       extract(epoch FROM clock_timestamp() - greatest(s.last_autovacuum, s.last_vacuum))::float8
FROM pg_stat_all_tables AS s
WHERE s.relid IN ('pgqueue.job'::regclass, 'pgqueue.dependency'::regclass, 'pgqueue.worker'::regclass,
                  'pgqueue.queue'::regclass, 'pgqueue.leader'::regclass)
ORDER BY s.relname;
