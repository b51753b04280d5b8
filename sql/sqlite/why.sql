-- why: everything that decides when a job runs.
--
-- in:   id    integer · now
-- out:  one JSON document: job (as the view shows it), now, the parents it waits for (five of them, running
--       ones first), paused_at of its queue, bounds: its limits and how much of them is used, the workers that serve it,
--       its own worker, and how many jobs are ahead of it (up to 1,000); no row when there is no such job
-- walks: primary keys; pgqueue_job_claim from its beginning
SELECT json_object(
    'now', strftime('%Y-%m-%dT%H:%M:%S', :now / 1000000, 'unixepoch') || printf('.%06dZ', :now % 1000000),
    'job', json_remove(j.document, '$.args', '$.result', '$.metadata', '$.progress'),
    'parents', (
        SELECT json_group_array(json(p.document))
        FROM (
            SELECT json_object('id', p.id, 'task', p.task, 'state', p.state, 'run_at', p.run_at,
                               'claimed_at', p.claimed_at, 'worker', w.name,
                               'same_key', json(iif(p.unique_key = j.document ->> '$.unique_key', 'true', 'false'))) AS document
            FROM pgqueue_dependency AS d
            CROSS JOIN pgqueue_live AS p ON p.id = d.parent_id
            LEFT JOIN pgqueue_worker AS w ON w.id = p.worker AND p.state = 'running'
            WHERE d.child_id = j.id AND d.outcome IS NULL
            ORDER BY p.state <> 'running', p.id
            LIMIT 5
        ) AS p),
    'bounds', json((
        SELECT json_object(
            'limits', json(q.limits), 'own', json(coalesce(own.limits, '{}')),
            'running', (
                SELECT count(*) FROM pgqueue_job AS r
                WHERE r.queue = j.queue AND r.permit IS NOT NULL AND r.state = 'running'),
            'key_running', (
                SELECT count(*) FROM pgqueue_job AS r
                WHERE r.queue = j.queue AND r.key = j.document ->> '$.key' AND r.permit IS NOT NULL AND r.state = 'running'),
            'free_at', (
                SELECT strftime('%Y-%m-%dT%H:%M:%S', free / 1000000, 'unixepoch') || printf('.%06dZ', free % 1000000)
                FROM (SELECT s.at + CAST(q.limits ->> '$.rate[1]' * 1000000 AS INTEGER) AS free,
                             sum(s.count) OVER (ORDER BY s.at DESC) AS since
                      FROM pgqueue_start AS s
                      WHERE s.queue = j.queue AND s.key = ''
                        AND s.at <= :now + 1000000 AND s.at >= :now - CAST(q.limits ->> '$.rate[1]' * 1000000 AS INTEGER)) AS s
                WHERE since >= q.limits ->> '$.rate[0]' ORDER BY free DESC LIMIT 1),
            'key_free_at', (
                SELECT strftime('%Y-%m-%dT%H:%M:%S', free / 1000000, 'unixepoch') || printf('.%06dZ', free % 1000000)
                FROM (SELECT s.at + CAST(coalesce(own.limits ->> '$.rate[1]', q.limits ->> '$.key_rate[1]') * 1000000 AS INTEGER) AS free,
                             sum(s.count) OVER (ORDER BY s.at DESC) AS since
                      FROM pgqueue_start AS s
                      WHERE s.queue = j.queue AND s.key = j.document ->> '$.key'
                        AND s.at <= :now + 1000000
                        AND s.at >= :now - CAST(coalesce(own.limits ->> '$.rate[1]', q.limits ->> '$.key_rate[1]') * 1000000 AS INTEGER)) AS s
                WHERE since >= coalesce(own.limits ->> '$.rate[0]', q.limits ->> '$.key_rate[0]') ORDER BY free DESC LIMIT 1),
            'holder', holder.id, 'holder_state', holder.state)
        FROM pgqueue_queue AS q
        LEFT JOIN pgqueue_queue_key AS own ON own.queue = q.name AND own.key = j.document ->> '$.key'
        LEFT JOIN pgqueue_job AS holder ON q.limits ->> '$.ordered' AND holder.id = (
            SELECT h.id FROM pgqueue_job AS h
            WHERE h.queue = j.queue AND h.key = coalesce(j.document ->> '$.key', '') AND h.permit IS NOT NULL
            ORDER BY h.permit LIMIT 1)
        WHERE q.name = j.queue AND q.limits IS NOT NULL AND j.state = 'available')),
    'paused_at', (
        SELECT strftime('%Y-%m-%dT%H:%M:%S', q.paused_at / 1000000, 'unixepoch') || printf('.%06dZ', q.paused_at % 1000000)
        FROM pgqueue_queue AS q WHERE q.name = j.queue),
    'workers', (
        SELECT json_group_array(json_object('name', w.name, 'running', w.running, 'info', json(w.info)))
        FROM pgqueue_worker AS w WHERE j.queue IN (SELECT value FROM json_each(w.queues))),
    'worker', (
        SELECT json_object(
            'id', w.id, 'running', w.running, 'pid', w.pid, 'name', w.name, 'host', w.host, 'queues', json(w.queues),
            'info', json(w.info), 'session', json(iif(w.session, 'true', 'false')),
            'started_at', strftime('%Y-%m-%dT%H:%M:%S', w.started_at / 1000000, 'unixepoch') || printf('.%06dZ', w.started_at % 1000000),
            'heartbeat_at', strftime('%Y-%m-%dT%H:%M:%S', w.heartbeat_at / 1000000, 'unixepoch') || printf('.%06dZ', w.heartbeat_at % 1000000),
            'suspected_at', strftime('%Y-%m-%dT%H:%M:%S', w.suspected_at / 1000000, 'unixepoch') || printf('.%06dZ', w.suspected_at % 1000000))
        FROM pgqueue_worker AS w WHERE w.id = j.document ->> '$.worker' AND j.state = 'running'),
    'led', json(iif(EXISTS (SELECT 1 FROM pgqueue_leader AS l WHERE l.until > :now), 'true', 'false')),
    'ahead', (
        SELECT count(*)
        FROM (
            SELECT 1 FROM pgqueue_job AS a
            WHERE j.state = 'available' AND a.state = 'available' AND a.queue = j.queue AND a.key = coalesce(j.document ->> '$.key', '')
              AND (a.priority, a.position) < (j.document ->> '$.priority', j.document ->> '$.position')
            LIMIT 1000
        ) AS a)
)
FROM (
    SELECT id, state, queue, document FROM pgqueue_live_document WHERE id = CAST(:id AS INTEGER)
    UNION ALL
    SELECT id, state, queue, document FROM pgqueue_past_document WHERE id = CAST(:id AS INTEGER)
) AS j;
