-- join: registers a worker process under an identity that the process has drawn itself.
--
-- in:   worker integer · profile JSON {name, host, pid, queues, started_at, info} · session boolean: it
--       holds a presence lock · now
-- out:  JSON array of {sequence, last, newest, cure}: sequences so far behind the rows that only setval helps;
--       then id, unless there are any, or another worker has it. Wakes the leader, which now has one more worker to watch
-- walks: the ends of the indexes on ids; all of pgqueue.job if numbers are behind the rows
-- trap: a worker that asks again, because the answer was lost, is the same worker. Sequences are behind the rows in a
--       replica, or after a restore without them: ids would be given twice. Only nextval moves them: of two sessions
--       that call setval, one may move the sequence back.
WITH numbers AS MATERIALIZED (
    SELECT coalesce(pg_sequence_last_value('pgqueue.job_id'::regclass), 0) AS last,
           greatest((SELECT max(id) FROM pgqueue.job), (SELECT max(id) FROM pgqueue.archive),
                    (SELECT max(id) FROM pgqueue.workflow), (SELECT max(child_id) FROM pgqueue.dependency),
                    (SELECT max(parent_id) FROM pgqueue.dependency)) AS newest
), behind AS MATERIALIZED (
    SELECT 'pgqueue.job_id' AS sequence, last, newest FROM numbers WHERE newest > last
    UNION ALL
    SELECT 'pgqueue.position', coalesce(pg_sequence_last_value('pgqueue.position'::regclass), 0),
           (SELECT max(position) FROM pgqueue.job)
    FROM numbers
    WHERE newest > last
), moved AS MATERIALIZED (
    SELECT max(nextval(near.sequence::regclass)) AS last
    FROM (SELECT * FROM behind WHERE newest - last <= 10000000) AS near
    CROSS JOIN LATERAL generate_series(near.last + 1, near.newest)
)
SELECT set_config('pgqueue_local.behind', coalesce(
           jsonb_agg(jsonb_build_object('sequence', sequence, 'last', last, 'newest', newest,
                                        'cure', format('SELECT setval(%L, %s)', sequence, newest)))
               FILTER (WHERE newest - last > 10000000), '[]')::text, true),
       (SELECT last FROM moved)
FROM behind;

INSERT INTO pgqueue.worker AS w (id, pid, started_at, heartbeat_at, session, name, host, queues, info)
SELECT :worker::integer, p.pid, p.started_at, coalesce(:now::timestamptz, clock_timestamp()), :session::boolean,
       p.name, p.host, p.queues, coalesce(p.info, '{}')
FROM jsonb_to_record(:profile::jsonb)
     AS p(pid integer, started_at timestamptz, name text, host text, queues text[], info jsonb)
WHERE current_setting('pgqueue_local.behind') = '[]'
ON CONFLICT (id) DO UPDATE
SET heartbeat_at = excluded.heartbeat_at
WHERE (w.pid, w.started_at, w.host) = (excluded.pid, excluded.started_at, excluded.host)
RETURNING id, pgqueue.wake('@')::text;
