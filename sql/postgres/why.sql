-- why: everything that decides when a job runs.
--
-- in:   id    bigint · now
-- out:  one JSON document: job (as the view shows it), now, the parents it waits for (five of them, running
--       ones first), paused_at of its queue, bounds: its limits and how much of them is used, the workers that serve it,
--       its own worker, and how many jobs are ahead of it (up to 1,000); no row when there is no such job
-- walks: primary keys; job_plain or job_turn from its beginning; job_permit
SELECT jsonb_build_object(
    'now', coalesce(:now::timestamptz, clock_timestamp()),
    'job', to_jsonb(j) - ARRAY['args', 'result', 'metadata', 'progress'],
    'parents', (
        SELECT coalesce(jsonb_agg(to_jsonb(p)), '[]')
        FROM (
            SELECT p.id, p.task, p.state, p.run_at, p.claimed_at, w.name AS worker,
                   coalesce(p.unique_key, p.next_key) = j.unique_key AS same_key
            FROM pgqueue.dependency AS d
            JOIN pgqueue.job AS p ON p.id = d.parent_id
            LEFT JOIN pgqueue.worker AS w ON w.id = p.worker AND p.state = 'running'
            WHERE d.child_id = j.id AND d.outcome IS NULL
            ORDER BY p.state <> 'running', p.id
            LIMIT 5
        ) AS p),
    'bounds', (
        SELECT jsonb_build_object(
            'limits', q.limits, 'own', coalesce(own.limits, '{}'),
            'running', (
                SELECT count(*) FROM pgqueue.job AS r
                WHERE r.queue = j.queue AND r.permit IS NOT NULL AND r.state = 'running'),
            'key_running', (
                SELECT count(*) FROM pgqueue.job AS r
                WHERE r.queue = j.queue AND r.key = j.key AND r.permit IS NOT NULL AND r.state = 'running'),
            'free_at', (
                SELECT s.at FROM (SELECT s.at, sum(s.count) OVER (ORDER BY s.at DESC) AS since FROM pgqueue.start AS s
                                  WHERE s.queue = j.queue AND s.key = ''
                                    AND s.at <= coalesce(:now::timestamptz, clock_timestamp()) + interval '1 second'
                                    AND s.at >= coalesce(:now::timestamptz, clock_timestamp()) - lasting.per) AS s
                WHERE s.since >= (q.limits #>> '{rate,0}')::integer ORDER BY s.at DESC LIMIT 1) + lasting.per,
            'key_free_at', (
                SELECT s.at FROM (SELECT s.at, sum(s.count) OVER (ORDER BY s.at DESC) AS since FROM pgqueue.start AS s
                                  WHERE s.queue = j.queue AND s.key = j.key
                                    AND s.at <= coalesce(:now::timestamptz, clock_timestamp()) + interval '1 second'
                                    AND s.at >= coalesce(:now::timestamptz, clock_timestamp()) - lasting.key_per) AS s
                WHERE s.since >= coalesce(own.limits #>> '{rate,0}', q.limits #>> '{key_rate,0}')::integer
                ORDER BY s.at DESC LIMIT 1) + lasting.key_per,
            'holder', holder.id, 'holder_state', holder.state)
        FROM pgqueue.queue AS q
        LEFT JOIN pgqueue.queue_key AS own ON own.queue = q.name AND own.key = j.key
        CROSS JOIN LATERAL (
            SELECT make_interval(secs => (q.limits #>> '{rate,1}')::float8) AS per,
                   make_interval(secs => coalesce(own.limits #>> '{rate,1}', q.limits #>> '{key_rate,1}')::float8) AS key_per
        ) AS lasting
        LEFT JOIN LATERAL (
            SELECT h.id, h.state FROM pgqueue.job AS h
            WHERE h.queue = j.queue AND h.key = coalesce(j.key, '') AND h.permit IS NOT NULL
            ORDER BY h.permit LIMIT 1
        ) AS holder ON (q.limits ->> 'ordered')::boolean
        WHERE q.name = j.queue AND q.limits IS NOT NULL AND j.state = 'available'),
    'paused_at', (SELECT q.paused_at FROM pgqueue.queue AS q WHERE q.name = j.queue),
    'workers', (
        SELECT coalesce(jsonb_agg(jsonb_build_object('name', w.name, 'running', w.running, 'info', w.info)), '[]')
        FROM pgqueue.worker AS w WHERE j.queue = ANY (w.queues)),
    'worker', (SELECT to_jsonb(w) FROM pgqueue.worker AS w WHERE w.id = j.worker AND j.state = 'running'),
    'led', EXISTS (SELECT FROM pgqueue.leader AS l WHERE l.until > coalesce(:now::timestamptz, clock_timestamp())),
    'ahead', (
        SELECT count(*)
        FROM (
            SELECT FROM pgqueue.job AS a
            WHERE j.state = 'available' AND a.state = 'available' AND a.queue = j.queue AND a.key = '' AND j.key IS NULL
              AND (a.priority, a.position) < (j.priority, j.position)
            UNION ALL
            SELECT FROM pgqueue.job AS a
            WHERE j.state = 'available' AND a.state = 'available' AND a.queue = j.queue AND a.key > '' AND a.key = j.key
              AND (a.priority, a.position) < (j.priority, j.position)
            LIMIT 1000
        ) AS a)
)::text
FROM pgqueue.jobs AS j
WHERE j.id = :id::bigint;
