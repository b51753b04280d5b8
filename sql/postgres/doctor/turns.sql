-- turns: the sessions that keep other workers from claiming from queues and keys whose limits are counted under a lock.
--
-- in:   seconds float8: only transactions at least so old
-- out:  name and pid of the session, seconds since its transaction began, how many locks it holds, and of which
--       queues as a whole; the longest first
-- trap: any role that may connect can hold such a lock. A queue's lock contains a hash of its name; a key's lock does not.
SELECT concat_ws(', ', nullif(a.application_name, ''), a.usename, a.state), a.pid,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8, held.locks, held.queues
FROM (
    SELECT l.pid, count(*) AS locks,
           coalesce(array_agg(q.name ORDER BY q.name) FILTER (WHERE q.name IS NOT NULL), '{}') AS queues
    FROM pg_locks AS l
    LEFT JOIN pgqueue.queue AS q ON l.objid::bigint = hashtext(q.name)::bigint & 4294967295
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.classid::bigint = (hashtext('pgqueue') # 1953787508)::bigint & 4294967295
    GROUP BY l.pid
) AS held
JOIN pg_stat_activity AS a ON a.pid = held.pid
WHERE a.xact_start < clock_timestamp() - make_interval(secs => :seconds::float8)
ORDER BY a.xact_start;
