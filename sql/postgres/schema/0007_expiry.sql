-- 0007_expiry: the instant after which no attempt of a job may begin, and jobs that leave no row behind.

-- Null: the job never expires; and it is kept for its state's retention.
ALTER TABLE pgqueue.job ADD COLUMN expires_at timestamptz, ADD COLUMN keep boolean;
ALTER TABLE pgqueue.job ADD CONSTRAINT job_expires_at_is_an_instant
    CHECK (expires_at > timestamptz '0001-01-02 00:00Z' AND expires_at < timestamptz '9999-12-31 00:00Z') NOT VALID;

DO $validate$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT conrelid::regclass AS relation, conname, pg_relation_size(conrelid) < 64 * 1024 * 1024 AS is_small
        FROM pg_constraint
        WHERE connamespace = 'pgqueue'::regnamespace AND NOT convalidated
    LOOP
        IF one.is_small THEN
            EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', one.relation, one.conname);
        ELSE
            RAISE NOTICE 'pgqueue: when it suits: ALTER TABLE % VALIDATE CONSTRAINT %', one.relation, one.conname;
        END IF;
    END LOOP;
END
$validate$;

-- Waiting jobs that expire, for expire; no other job is in this index. Nobody can write the live table while it is
-- built; the table is read once, which takes a tenth of a second for a million jobs.
CREATE INDEX job_expires ON pgqueue.job (expires_at) WHERE expires_at IS NOT NULL AND state <> 'running';

CREATE OR REPLACE VIEW pgqueue.jobs AS
SELECT id, queue, priority, position, state, task, args, attempt, max_attempts, rescues,
       run_at, enqueued_at, claimed_at, NULL::timestamptz AS finished_at, worker, lease,
       timeout_seconds, unique_key, blocked_by, cancel_requested, reason, NULL::jsonb AS result,
       errors, progress, metadata, tags, workflow, NULL::bigint AS cause, nullif(key, '') AS key, expires_at, keep
FROM pgqueue.job
UNION ALL
SELECT id, queue, priority, NULL, state, task, args, attempt, max_attempts, rescues,
       run_at, enqueued_at, claimed_at, finished_at, worker, lease,
       timeout_seconds, unique_key, 0, false, reason, result,
       errors, progress, metadata, tags, workflow, cause, nullif(key, ''), NULL, NULL
FROM pgqueue.archive;

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
            workflow bigint, blocked_by integer, expires_at bigint, expires_seconds float8, keep boolean, key text)) WITH ORDINALITY AS g
    ), inserted AS (
        INSERT INTO pgqueue.job AS j (id, position, state, task, args, queue, key, priority, run_at, enqueued_at,
                                      max_attempts, timeout_seconds, unique_key, tags, metadata, workflow, blocked_by, expires_at, keep)
        SELECT g.id, g.position,
               CASE WHEN g.blocked_by > 0 THEN 'blocked' WHEN g.due > g.arrived THEN 'scheduled' ELSE 'available' END,
               g.task, coalesce(g.args, '{}'), coalesce(g.queue, 'default'), coalesce(g.key, ''), coalesce(g.priority, 0::smallint), g.due,
               g.arrived, coalesce(g.max_attempts, 10::smallint), g.timeout_seconds, g.unique_key, g.tags, g.metadata,
               g.workflow, coalesce(g.blocked_by, 0),
               coalesce('epoch'::timestamptz + g.expires_at * interval '1 microsecond',
                        g.due + make_interval(secs => g.expires_seconds)), g.keep
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

-- Roles that were granted a part before may enqueue such jobs, too.
DO $grant$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT DISTINCT a.grantee::regrole AS role
        FROM pg_proc AS p CROSS JOIN aclexplode(p.proacl) AS a
        WHERE p.oid = 'pgqueue.enqueue_unique(jsonb, boolean, timestamptz)'::regprocedure
          AND a.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE format('GRANT INSERT (expires_at, keep) ON pgqueue.job TO %s', one.role);
    END LOOP;
END
$grant$;

INSERT INTO pgqueue.migration (version) VALUES ('0007');
