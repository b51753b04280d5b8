-- grant: lets roles do what their part of an application does, and nothing else.
--
-- in:   roles    JSON array of {part, role}: part 'enqueuer', 'worker' or 'reader'; role null is the caller's role
--       stripped JSON array of roles that first lose all their rights in this schema
--       pretend  boolean: only say what would be done
-- out:  part, role, command, held: one row for each right, in the order in which they are given; held: the role
--       has it already. For rights that a role loses, part is null
-- trap: names of roles are quoted by format(%I) and must exist, or "public" would mean everybody. When somebody
--       else than the owner runs GRANT, the server only warns: here it is an error. An enqueuer may
--       read only the columns that RETURNING needs, and unique keys; it may not choose an id, a position, a lease or a
--       worker.
WITH right_of AS (
    SELECT row_number() OVER () AS n, needs.*
    FROM (VALUES
    ('enqueuer', 'USAGE', 'SCHEMA', 'pgqueue', NULL),
    ('enqueuer', 'SELECT', 'TABLE', 'pgqueue.migration', NULL),
    ('enqueuer', 'INSERT', 'TABLE', 'pgqueue.job',
     'state, task, args, queue, key, priority, run_at, enqueued_at, max_attempts, timeout_seconds, '
     'unique_key, next_key, tags, metadata, workflow, blocked_by, expires_at, keep'),
    ('enqueuer', 'SELECT', 'TABLE', 'pgqueue.job', 'id, queue, state, run_at, due_at, enqueued_at, unique_key, next_key'),
    ('enqueuer', 'INSERT', 'TABLE', 'pgqueue.workflow', 'name, tags, created_at'),
    ('enqueuer', 'SELECT', 'TABLE', 'pgqueue.workflow', 'id'),
    ('enqueuer', 'USAGE', 'SEQUENCE', 'pgqueue.job_id', NULL),
    ('enqueuer', 'USAGE', 'SEQUENCE', 'pgqueue.position', NULL),
    ('enqueuer', 'EXECUTE', 'FUNCTION', 'pgqueue.hold(bigint[])', NULL),
    ('enqueuer', 'EXECUTE', 'FUNCTION', 'pgqueue.link(jsonb, jsonb, jsonb, jsonb, timestamptz)', NULL),
    ('enqueuer', 'EXECUTE', 'FUNCTION', 'pgqueue.enqueue_unique(jsonb, boolean, timestamptz)', NULL),
    ('enqueuer', 'EXECUTE', 'FUNCTION', 'pgqueue.enqueue_once(jsonb, boolean, timestamptz)', NULL),
    ('enqueuer', 'SELECT', 'TABLE', 'pgqueue.schedule', NULL),
    ('enqueuer', 'INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.schedule', NULL),
    ('enqueuer', 'SELECT', 'TABLE', 'pgqueue.firing', NULL),
    ('enqueuer', 'INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.firing', NULL),
    ('enqueuer', 'INSERT', 'TABLE', 'pgqueue.audit', 'at, who, verb, target, filter, count, answer, reason'),
    ('worker', 'USAGE', 'SCHEMA', 'pgqueue', NULL),
    ('worker', 'SELECT', 'TABLE', 'pgqueue.migration', NULL),
    ('worker', 'SELECT', 'TABLE', 'pgqueue.jobs', NULL),
    ('worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.job', NULL),
    ('worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.archive', NULL),
    ('worker', 'SELECT, INSERT', 'TABLE', 'pgqueue.archive_completed', NULL),
    ('worker', 'SELECT, UPDATE, DELETE', 'TABLE', 'pgqueue.archive_completed_default', NULL),
    ('worker', 'SELECT, UPDATE, DELETE', 'TABLE', 'pgqueue.archive_cancelled_default', NULL),
    ('worker', 'SELECT, UPDATE, DELETE', 'TABLE', 'pgqueue.archive_discarded_default', NULL),
    ('worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.dependency', NULL),
    ('worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.workflow', NULL),
    ('worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.queue', NULL),
    ('worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.queue_key', NULL),
    ('worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.start', NULL),
    ('worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.recent', NULL),
    ('worker', 'USAGE', 'SEQUENCE', 'pgqueue.permit', NULL),
    ('worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.tally', NULL),
    ('worker', 'INSERT', 'TABLE', 'pgqueue.audit', 'at, who, verb, target, filter, count, answer, reason'),
    ('worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.worker', NULL),
    ('worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.leader', NULL),
    ('worker', 'SELECT, INSERT, UPDATE', 'TABLE', 'pgqueue.home', NULL),
    ('worker', 'SELECT', 'TABLE', 'pgqueue.schedule', NULL),
    ('worker', 'INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.schedule', NULL),
    ('worker', 'SELECT', 'TABLE', 'pgqueue.firing', NULL),
    ('worker', 'INSERT, UPDATE, DELETE', 'TABLE', 'pgqueue.firing', NULL),
    ('worker', 'USAGE', 'SEQUENCE', 'pgqueue.job_id', NULL),
    ('worker', 'USAGE', 'SEQUENCE', 'pgqueue.position', NULL),
    ('worker', 'USAGE', 'SEQUENCE', 'pgqueue.lease', NULL),
    ('worker', 'USAGE', 'SEQUENCE', 'pgqueue.worker_id', NULL),
    ('worker', 'EXECUTE', 'FUNCTION', 'pgqueue.hold(bigint[])', NULL),
    ('worker', 'EXECUTE', 'FUNCTION', 'pgqueue.link(jsonb, jsonb, jsonb, jsonb, timestamptz)', NULL),
    ('worker', 'EXECUTE', 'FUNCTION', 'pgqueue.enqueue_unique(jsonb, boolean, timestamptz)', NULL),
    ('worker', 'EXECUTE', 'FUNCTION', 'pgqueue.enqueue_once(jsonb, boolean, timestamptz)', NULL),
    ('worker', 'EXECUTE', 'FUNCTION', 'pgqueue.add_partition(text, bigint, bigint)', NULL),
    ('worker', 'EXECUTE', 'FUNCTION', 'pgqueue.drop_partition(regclass)', NULL),
    ('worker', 'EXECUTE', 'FUNCTION', 'pgqueue.forget_audit(timestamptz, integer)', NULL),
    ('reader', 'USAGE', 'SCHEMA', 'pgqueue', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.migration', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.jobs', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.job', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.archive', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.dependency', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.workflow', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.queue', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.queue_key', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.start', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.recent', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.worker', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.leader', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.home', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.schedule', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.firing', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.tally', NULL),
    ('reader', 'SELECT', 'TABLE', 'pgqueue.audit', NULL)
    ) AS needs(part, privilege, kind, object, columns)
), wanted AS (
    SELECT n, NULL AS part, role, NULL AS privilege, NULL AS kind, NULL AS object, NULL AS columns,
           format(command, 'pgqueue', role) AS command
    FROM jsonb_array_elements_text(:stripped::jsonb) AS role
    CROSS JOIN (VALUES (1, 'REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I'),
                       (2, 'REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM %I'),
                       (3, 'REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM %I'),
                       (4, 'REVOKE ALL ON SCHEMA %I FROM %I')) AS lost(n, command)
    UNION ALL
    SELECT r.n, r.part, g.role, privilege, kind, object, columns,
           format('GRANT %s%s ON %s %s TO %I', privilege, ' (' || columns || ')', kind,
                  CASE kind WHEN 'SCHEMA' THEN quote_ident(object) ELSE object END, g.role)
    FROM (SELECT g.part, coalesce(g.role, current_user) AS role
          FROM jsonb_to_recordset(:roles::jsonb) AS g(part text, role text)) AS g
    JOIN right_of AS r ON r.part = g.part
)
SELECT set_config('pgqueue_local.rights', coalesce(jsonb_agg(to_jsonb(wanted) ORDER BY part IS NOT NULL, n), '[]')::text, true),
       set_config('pgqueue_local.pretend', :pretend::boolean::text, true)
FROM wanted;

DO $grant$
DECLARE
    rights CONSTANT jsonb := current_setting('pgqueue_local.rights')::jsonb;
    owner  CONSTANT name  := (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'pgqueue');
    one    record;
BEGIN
    IF owner IS NULL THEN
        RAISE EXCEPTION 'there is no such schema' USING ERRCODE = 'invalid_schema_name';
    END IF;
    FOR one IN SELECT DISTINCT role FROM jsonb_to_recordset(rights) AS r(role text) LOOP
        IF one.role NOT IN (SELECT rolname FROM pg_roles) THEN
            RAISE EXCEPTION 'there is no role %', quote_ident(one.role)
                USING ERRCODE = 'undefined_object', HINT = 'CREATE ROLE comes first.';
        END IF;
    END LOOP;
    IF current_setting('pgqueue_local.pretend')::boolean THEN
        RETURN;
    END IF;
    IF NOT pg_has_role(current_user, owner, 'USAGE') THEN
        RAISE EXCEPTION 'only %, who owns the schema, can grant rights in it', quote_ident(owner)
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR one IN SELECT command FROM jsonb_to_recordset(rights) AS r(command text) LOOP
        EXECUTE one.command;
    END LOOP;
END
$grant$;

SELECT part, role, command,
       CASE kind
           WHEN 'SCHEMA' THEN has_schema_privilege(role, object, privilege)
           WHEN 'SEQUENCE' THEN has_sequence_privilege(role, object, privilege)
           WHEN 'FUNCTION' THEN has_function_privilege(role, object, privilege)
           WHEN 'TABLE' THEN (SELECT bool_and(CASE WHEN columns IS NULL THEN has_table_privilege(role, object, p)
                                                   ELSE has_column_privilege(role, object, c, p) END)
                              FROM regexp_split_to_table(privilege, ', ') AS p,
                                   regexp_split_to_table(coalesce(columns, 'id'), ', ') AS c)
       END AS held
FROM jsonb_to_recordset(current_setting('pgqueue_local.rights')::jsonb)
     AS r(part text, role text, command text, privilege text, kind text, object text, columns text);
