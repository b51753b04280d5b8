-- 0007_expiry, undone: jobs never expire, and each is kept for its state's retention.

-- A view loses a column only when it is dropped and created again, and that drops its grants.
DO $view$
DECLARE
    rights CONSTANT text[] := ARRAY(
        SELECT format('GRANT %s ON pgqueue.jobs TO %s', a.privilege_type, a.grantee::regrole)
        FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS a
        WHERE c.oid = 'pgqueue.jobs'::regclass AND a.grantee NOT IN (0, c.relowner));
    command text;
BEGIN
    DROP VIEW pgqueue.jobs;
    CREATE VIEW pgqueue.jobs AS
    SELECT id, queue, priority, position, state, task, args, attempt, max_attempts, rescues,
           run_at, enqueued_at, claimed_at, NULL::timestamptz AS finished_at, worker, lease,
           timeout_seconds, unique_key, blocked_by, cancel_requested, reason, NULL::jsonb AS result,
           errors, progress, metadata, tags, workflow, NULL::bigint AS cause, nullif(key, '') AS key
    FROM pgqueue.job
    UNION ALL
    SELECT id, queue, priority, NULL, state, task, args, attempt, max_attempts, rescues,
           run_at, enqueued_at, claimed_at, finished_at, worker, lease,
           timeout_seconds, unique_key, 0, false, reason, result,
           errors, progress, metadata, tags, workflow, cause, nullif(key, '')
    FROM pgqueue.archive;
    COMMENT ON VIEW pgqueue.jobs IS 'Every job, live or finished: for people, psql and reports.';
    FOREACH command IN ARRAY rights LOOP
        EXECUTE command;
    END LOOP;
END
$view$;

CREATE OR REPLACE FUNCTION pgqueue.enqueue_unique(jobs jsonb, notify boolean, now timestamptz)
RETURNS TABLE (ordinal bigint, new_id bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $unique$
BEGIN
    RETURN QUERY
    WITH given AS MATERIALIZED (
        SELECT g.*, now AS arrived, nextval('pgqueue.job_id') AS id, nextval('pgqueue.position') AS position,
               coalesce(g.run_at, now + make_interval(secs => coalesce(g.delay_seconds, 0))) AS due
        FROM ROWS FROM (jsonb_to_recordset(jobs) AS (
            task text, args jsonb, queue text, priority smallint, run_at timestamptz, delay_seconds float8,
            max_attempts smallint, timeout_seconds float8, unique_key text, tags text[], metadata jsonb,
            workflow bigint, blocked_by integer, key text)) WITH ORDINALITY AS g
    ), inserted AS (
        INSERT INTO pgqueue.job AS j (id, position, state, task, args, queue, key, priority, run_at, enqueued_at,
                                      max_attempts, timeout_seconds, unique_key, tags, metadata, workflow, blocked_by)
        SELECT g.id, g.position,
               CASE WHEN g.blocked_by > 0 THEN 'blocked' WHEN g.due > g.arrived THEN 'scheduled' ELSE 'available' END,
               g.task, coalesce(g.args, '{}'), coalesce(g.queue, 'default'), coalesce(g.key, ''), coalesce(g.priority, 0::smallint), g.due,
               g.arrived, coalesce(g.max_attempts, 10::smallint), g.timeout_seconds, g.unique_key, g.tags, g.metadata,
               g.workflow, coalesce(g.blocked_by, 0)
        FROM given AS g
        ORDER BY g.unique_key, g.id
        ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL DO NOTHING
        RETURNING j.id, j.queue, j.state, j.run_at, j.enqueued_at
    ), woken AS (
        SELECT count(pgqueue.wake(topic))
        FROM (SELECT DISTINCT CASE WHEN i.state = 'available' THEN i.queue ELSE '@' END
              FROM inserted AS i
              WHERE i.state = 'available'
                 OR (i.state = 'scheduled' AND i.run_at < i.enqueued_at + interval '30 seconds')) AS topics(topic)
        WHERE notify
    )
    SELECT g.ordinality, i.id FROM inserted AS i JOIN given AS g ON g.id = i.id, woken;
END
$unique$;

DROP INDEX pgqueue.job_expires;

ALTER TABLE pgqueue.job DROP COLUMN expires_at, DROP COLUMN keep;

DELETE FROM pgqueue.migration WHERE version = '0007';
