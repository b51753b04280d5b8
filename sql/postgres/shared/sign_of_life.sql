-- sign_of_life: the row that a worker writes to say that it lives, an INSERT up to its FROM.
--
-- in:   worker, session, running, now, profile  as for alive
-- out:  p: the profile, for a WHERE
INSERT INTO pgqueue.worker AS w (id, running, pid, started_at, heartbeat_at, session, name, host, queues, info, asked)
SELECT :worker::integer, :running::integer, p.pid, p.started_at, coalesce(:now::timestamptz, clock_timestamp()),
       :session::boolean, p.name, p.host, p.queues,
       coalesce(p.info, '{}') || CASE WHEN :session::boolean
                                      THEN jsonb_build_object('server',
                                          -- include: server_run
                                      )
                                      ELSE '{}' END,
       p.info ->> 'asked'
FROM jsonb_to_record(:profile::jsonb)
     AS p(pid integer, started_at timestamptz, name text, host text, queues text[], info jsonb)
