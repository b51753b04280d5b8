-- why: all that decides when a job runs.
--
-- in:   id    bigint · now
-- out:  one JSON document: job (as the view shows it), now, the parents it waits for (five of them, running
--       ones first), paused_at of its queue, the workers that serve it, its own worker, and how many
--       jobs are ahead of it (up to 1,000); no row when there is no such job
-- walks: primary keys; job_claim from its beginning
SELECT jsonb_build_object(
    'now', coalesce(:now::timestamptz, clock_timestamp()),
    'job', to_jsonb(j) - ARRAY['args', 'result', 'metadata', 'progress'],
    'parents', (
        SELECT coalesce(jsonb_agg(to_jsonb(p)), '[]')
        FROM (
            SELECT p.id, p.task, p.state, p.run_at, p.claimed_at, w.name AS worker
            FROM pgqueue.dependency AS d
            JOIN pgqueue.job AS p ON p.id = d.parent_id
            LEFT JOIN pgqueue.worker AS w ON w.id = p.worker AND p.state = 'running'
            WHERE d.child_id = j.id AND d.outcome IS NULL
            ORDER BY p.state <> 'running', p.id
            LIMIT 5
        ) AS p),
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
            WHERE j.state = 'available' AND a.state = 'available' AND a.queue = j.queue
              AND (a.priority, a.position) < (j.priority, j.position)
            LIMIT 1000
        ) AS a)
)::text
FROM pgqueue.jobs AS j
WHERE j.id = :id::bigint;
