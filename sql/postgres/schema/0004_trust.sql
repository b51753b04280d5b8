-- 0004_trust: what a store needs so that nothing is lost or done twice, and no single row stops the others.

-- A dead worker's row stays until its last job has been taken from it. *remaining*: its jobs that somebody's
-- transaction held when the others were taken; null for a worker that lives.
ALTER TABLE pgqueue.worker ADD COLUMN remaining bigint[];

-- *due_at*: when a job was first due that workers hand back because they do not know its task. Its run_at moves each
-- time, so its lateness would never show. Null for other jobs.
ALTER TABLE pgqueue.job ADD COLUMN due_at timestamptz;

-- Bounds for every row, whoever writes it: otherwise a role that may INSERT could put an instant beyond the calendar
-- into the first job of a queue, or a name that no channel can carry. Claims check these bounds too, as they update the
-- row: a pattern without a length costs half a microsecond, with `{0,127}` six. Rows that were written by hand are
-- changed to conform first; a task's name that changes is one that no worker knows, so such a job is handed back, and
-- says so. ADD ... NOT VALID locks the table for a moment; its rows are checked under that lock only if the table is
-- small. On a large one, VALIDATE CONSTRAINT can be run later, and workers go on meanwhile; new rows are checked in any
-- case.
UPDATE pgqueue.job AS j
SET run_at = least(greatest(run_at, timestamptz '0002-01-01 00:00Z'), timestamptz '9999-01-01 00:00Z'),
    enqueued_at = least(greatest(enqueued_at, timestamptz '0002-01-01 00:00Z'), timestamptz '9999-01-01 00:00Z'),
    timeout_seconds = least(timeout_seconds, 36525 * 86400.0),
    task = left(regexp_replace(regexp_replace(task, '[^A-Za-z0-9_.:/-]', '_', 'g'), '^(?![A-Za-z0-9_])', '_'), 128),
    queue = left(regexp_replace(regexp_replace(queue, '[^A-Za-z0-9_.:/-]', '_', 'g'), '^(?![A-Za-z0-9_])', '_'), 128),
    unique_key = CASE WHEN unique_key = '' OR length(unique_key) > 512 THEN md5(unique_key) ELSE unique_key END,
    metadata = CASE WHEN jsonb_typeof(metadata) <> 'object' THEN jsonb_build_object('metadata', metadata) ELSE metadata END,
    tags = CASE WHEN array_ndims(tags) > 1 OR array_position(tags, NULL) IS NOT NULL OR cardinality(tags) > 64 THEN NULL
                ELSE tags END
WHERE NOT (run_at > timestamptz '0001-01-02 00:00Z' AND run_at < timestamptz '9999-12-31 00:00Z')
   OR NOT (enqueued_at > timestamptz '0001-01-02 00:00Z' AND enqueued_at < timestamptz '9999-12-31 00:00Z')
   OR timeout_seconds > 36525 * 86400.0
   OR task !~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$' OR length(task) > 128
   OR queue !~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$' OR length(queue) > 128
   OR unique_key = '' OR length(unique_key) > 512
   OR jsonb_typeof(metadata) <> 'object'
   OR array_ndims(tags) > 1 OR array_position(tags, NULL) IS NOT NULL OR cardinality(tags) > 64;

UPDATE pgqueue.workflow
SET created_at = least(greatest(created_at, timestamptz '0002-01-01 00:00Z'), timestamptz '9999-01-01 00:00Z'),
    name = left(regexp_replace(regexp_replace(name, '[^A-Za-z0-9_.:/-]', '_', 'g'), '^(?![A-Za-z0-9_])', '_'), 128)
WHERE NOT (created_at > timestamptz '0001-01-02 00:00Z' AND created_at < timestamptz '9999-12-31 00:00Z')
   OR name !~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$' OR length(name) > 128;

ALTER TABLE pgqueue.job
    ADD CONSTRAINT job_run_at_is_an_instant
        CHECK (run_at > timestamptz '0001-01-02 00:00Z' AND run_at < timestamptz '9999-12-31 00:00Z') NOT VALID,
    ADD CONSTRAINT job_enqueued_at_is_an_instant
        CHECK (enqueued_at > timestamptz '0001-01-02 00:00Z' AND enqueued_at < timestamptz '9999-12-31 00:00Z') NOT VALID,
    ADD CONSTRAINT job_timeout_ends CHECK (timeout_seconds <= 36525 * 86400.0) NOT VALID,
    ADD CONSTRAINT job_task_is_a_name
        CHECK (task ~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$' AND length(task) <= 128) NOT VALID,
    ADD CONSTRAINT job_queue_is_a_name
        CHECK (queue ~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$' AND length(queue) <= 128) NOT VALID,
    ADD CONSTRAINT job_unique_key_has_a_length CHECK (length(unique_key) BETWEEN 1 AND 512) NOT VALID,
    ADD CONSTRAINT job_metadata CHECK (jsonb_typeof(metadata) = 'object') NOT VALID,
    ADD CONSTRAINT job_tags
        CHECK (array_ndims(tags) = 1 AND array_position(tags, NULL) IS NULL AND cardinality(tags) <= 64) NOT VALID;
ALTER TABLE pgqueue.workflow
    ADD CONSTRAINT workflow_created_at_is_an_instant
        CHECK (created_at > timestamptz '0001-01-02 00:00Z' AND created_at < timestamptz '9999-12-31 00:00Z') NOT VALID,
    ADD CONSTRAINT workflow_name_is_a_name
        CHECK (name ~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$' AND length(name) <= 128) NOT VALID;

-- Workers read UTF-8: one row with a text that cannot be converted would make every claim of its queue fail. A database
-- in UTF-8 has no such rows; in a database of another encoding a client may write them.
DO $text$
DECLARE
    one record;
    bad bigint[] := '{}';
BEGIN
    IF getdatabaseencoding() = 'UTF8' THEN
        RETURN;
    END IF;
    FOR one IN SELECT id, concat_ws(' ', args, unique_key, metadata, progress) AS said FROM pgqueue.job LOOP
        BEGIN
            PERFORM convert_to(one.said, 'UTF8');
        EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
            bad := bad || one.id;
        END;
    END LOOP;
    IF bad <> '{}' THEN
        RAISE EXCEPTION 'pgqueue: the text of these jobs cannot be read as UTF-8: %', bad
            USING ERRCODE = 'data_exception', HINT = 'Correct or delete them, then migrate.';
    END IF;
    ALTER TABLE pgqueue.job ADD CONSTRAINT job_text_can_be_read
        CHECK (octet_length(convert_to(concat_ws(' ', args, unique_key, metadata, progress), 'UTF8')) >= 0);
END
$text$;

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

-- Inserts jobs with unique keys, for roles that may not choose ids and positions; enqueue_unique.sql describes the
-- parameters.
CREATE FUNCTION pgqueue.enqueue_unique(jobs jsonb, notify boolean, now timestamptz)
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
            workflow bigint, blocked_by integer)) WITH ORDINALITY AS g
    ), inserted AS (
        INSERT INTO pgqueue.job AS j (id, position, state, task, args, queue, priority, run_at, enqueued_at,
                                      max_attempts, timeout_seconds, unique_key, tags, metadata, workflow, blocked_by)
        SELECT g.id, g.position,
               CASE WHEN g.blocked_by > 0 THEN 'blocked' WHEN g.due > g.arrived THEN 'scheduled' ELSE 'available' END,
               g.task, coalesce(g.args, '{}'), coalesce(g.queue, 'default'), coalesce(g.priority, 0::smallint), g.due,
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
REVOKE ALL ON FUNCTION pgqueue.enqueue_unique FROM PUBLIC;

-- Roles that were granted a part before keep what belongs to it: they enqueue unique keys, and count waiting jobs.
DO $grant$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT DISTINCT a.grantee::regrole AS role
        FROM pg_proc AS p CROSS JOIN aclexplode(p.proacl) AS a
        WHERE p.oid = 'pgqueue.link(jsonb, jsonb, jsonb, jsonb, timestamptz)'::regprocedure
          AND a.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION pgqueue.enqueue_unique(jsonb, boolean, timestamptz) TO %s', one.role);
        EXECUTE format('GRANT SELECT (due_at) ON pgqueue.job TO %s', one.role);
    END LOOP;
END
$grant$;

-- A transaction that ends with PREPARE TRANSACTION must not notify: the PREPARE would fail, but only when somebody
-- happens to sleep. Such a transaction sets pgqueue_local.notify to 'off'.
CREATE OR REPLACE FUNCTION pgqueue.wake(topic text) RETURNS void
LANGUAGE sql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN pgqueue.asleep($1) THEN
        CASE WHEN pg_catalog.current_setting('pgqueue_local.notify', true) = 'off' THEN NULL
             ELSE pg_catalog.pg_notify('pgqueue', $1) END
    END
$$;

-- As before, but children and *merged* must be jobs of the caller's own transaction, whatever its role.
CREATE OR REPLACE FUNCTION pgqueue.link(edges jsonb, merged jsonb, elsewhere jsonb, keep jsonb, now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $link$
DECLARE
    said record;
    more boolean := true;
BEGIN
    PERFORM pgqueue.hold(ARRAY(SELECT jsonb_array_elements_text(elsewhere)::bigint));

    -- Only jobs of this transaction can become children, whatever the role. A row that we see and whose transaction is
    -- in progress is this transaction's own, savepoints included: nobody sees what others have not committed.
    IF EXISTS (
        SELECT
        FROM (
            SELECT DISTINCT made.age
            FROM (SELECT e.child FROM jsonb_to_recordset(edges) AS e(child bigint)
                  UNION SELECT m.child FROM jsonb_to_recordset(merged) AS m(child bigint)) AS c
            LEFT JOIN LATERAL (SELECT age(j.xmin) FROM pgqueue.job AS j WHERE j.id = c.child OFFSET 0) AS made ON true
        ) AS made
        WHERE pg_xact_status(greatest(3, pg_current_xact_id()::text::bigint - made.age)::text::xid8)
              IS DISTINCT FROM 'in progress'
    ) THEN
        RAISE EXCEPTION 'pgqueue: an edge leads to a job of the transaction that makes it'
            USING ERRCODE = 'insufficient_privilege';
    END IF;

    INSERT INTO pgqueue.dependency (child_id, parent_id, policy, name)
    SELECT child, parent, policy, name
    FROM jsonb_to_recordset(edges) AS e(child bigint, parent bigint, policy text, name text);

    UPDATE pgqueue.job AS j
    SET blocked_by = m.blocked_by
    FROM jsonb_to_recordset(merged) AS m(child bigint, blocked_by integer)
    WHERE j.id = ANY (ARRAY[m.child]) AND j.blocked_by > m.blocked_by;

    PERFORM set_config('pgqueue_local.finished', coalesce(jsonb_object_agg(f.state, f.ids), '{}')::text, true)
    FROM (
        SELECT coalesce(a.state, 'completed') AS state, array_agg(p.id)::text AS ids
        FROM (SELECT jsonb_array_elements_text(elsewhere)::bigint AS id) AS p
        LEFT JOIN pgqueue.archive AS a
            ON a.id = p.id AND a.id = ANY (ARRAY(SELECT jsonb_array_elements_text(elsewhere)::bigint))
        WHERE (SELECT j.id FROM pgqueue.job AS j WHERE j.id = p.id) IS NULL
        GROUP BY 1
    ) AS f;

    WHILE more LOOP
        FOR said IN
            WITH finished AS MATERIALIZED (
                SELECT (ids ->> 'completed')::bigint[] AS completed,
                       (ids ->> 'cancelled')::bigint[] AS cancelled,
                       (ids ->> 'discarded')::bigint[] AS discarded
                FROM (SELECT current_setting('pgqueue_local.finished')::jsonb AS ids) AS f
            ), decided AS (
                UPDATE pgqueue.dependency AS d
                SET outcome = CASE WHEN d.parent_id IN (SELECT unnest(cancelled) FROM finished) THEN 'cancelled'
                                   WHEN d.parent_id IN (SELECT unnest(discarded) FROM finished) THEN 'discarded'
                                   ELSE 'completed' END
                WHERE d.parent_id = ANY ((SELECT completed || cancelled || discarded FROM finished)::bigint[])
                  AND d.outcome IS NULL
                RETURNING d.child_id, d.parent_id, d.policy, d.outcome
            ), locked AS MATERIALIZED (
                SELECT child.*, least(cancelled, discarded) AS spoiled_by, nextval('pgqueue.position') AS position
                FROM (
                    SELECT child_id AS id,
                           count(*)::integer AS decided,
                           min(parent_id) FILTER (WHERE outcome = 'cancelled' AND policy = 'cancel') AS cancelled,
                           min(parent_id) FILTER (WHERE outcome = 'discarded' AND policy = 'cancel') AS discarded
                    FROM decided
                    GROUP BY child_id
                    ORDER BY child_id
                ) AS child
                CROSS JOIN LATERAL (
                    SELECT FROM pgqueue.job AS j WHERE j.id = child.id AND j.state = 'blocked' FOR NO KEY UPDATE
                ) AS blocked
            ), freed AS (
                UPDATE pgqueue.job AS j
                SET blocked_by = j.blocked_by - locked.decided,
                    state = CASE WHEN j.blocked_by > locked.decided THEN 'blocked'
                                 WHEN j.run_at > coalesce(now::timestamptz, clock_timestamp()) THEN 'scheduled'
                                 ELSE 'available' END,
                    position = CASE WHEN j.blocked_by > locked.decided THEN j.position ELSE locked.position END,
                    run_at = CASE WHEN j.blocked_by > locked.decided THEN j.run_at
                                  ELSE greatest(j.run_at, coalesce(now::timestamptz, clock_timestamp())) END
                FROM locked
                WHERE j.id = ANY (ARRAY[locked.id]) AND locked.spoiled_by IS NULL
                RETURNING j.queue, j.state
            ), woken AS (
                SELECT count(pgqueue.wake(topic)), array_agg(topic) AS queues
                FROM (SELECT DISTINCT CASE state WHEN 'available' THEN queue ELSE '@' END
                      FROM freed WHERE state <> 'blocked') AS topics(topic)
            ), told AS (
                SELECT count(pgqueue.wake('#' || id)) FROM finished, unnest(completed || cancelled || discarded) AS id
                WHERE (SELECT pgqueue.asleep('#'))
            ), ending AS (
                SELECT count(*) > 0 AS again,
                       set_config('pgqueue_local.ending', coalesce(jsonb_agg(jsonb_build_object(
                           'id', id, 'state', 'cancelled', 'cause', spoiled_by,
                           'reason', format('parent %s was %s', spoiled_by,
                                            CASE spoiled_by WHEN cancelled THEN 'cancelled' ELSE 'discarded' END))), '[]')::text, true)
                FROM locked
                WHERE spoiled_by IS NOT NULL
            )
            SELECT again, queues FROM ending, woken, told
        LOOP
            more := said.again;
        END LOOP;
        FOR said IN
            WITH ended AS (
                DELETE FROM pgqueue.job AS j
                USING jsonb_to_recordset(current_setting('pgqueue_local.ending')::jsonb) AS e(id bigint, state text, reason text, cause bigint)
                WHERE j.id = ANY (ARRAY[e.id])
                RETURNING e.state, e.cause, j.id, j.lease, j.run_at, j.enqueued_at, j.claimed_at, j.timeout_seconds,
                          j.workflow, j.worker, j.priority, j.attempt, j.max_attempts, j.rescues, j.queue, j.task, j.unique_key,
                          coalesce(e.reason, j.reason) AS reason, j.args, j.errors, j.progress, j.metadata, j.tags
            ), archived AS (
                INSERT INTO pgqueue.archive
                    (finished_at, state, cause, id, lease, run_at, enqueued_at, claimed_at, timeout_seconds, workflow,
                     worker, priority, attempt, max_attempts, rescues, queue, task, unique_key,
                     reason, args, errors, progress, metadata, tags)
                SELECT coalesce(now::timestamptz, clock_timestamp()), ended.*
                FROM ended
                WHERE keep::jsonb ? ended.state
            )
            SELECT set_config('pgqueue_local.finished', coalesce(jsonb_object_agg(state, ids), '{}')::text, true)
            FROM (SELECT state, array_agg(id)::text AS ids FROM ended GROUP BY state) AS finished
        LOOP
        END LOOP;
    END LOOP;
END
$link$;

-- The archive has no primary key: in a database that publishes all tables, retry and prune could not delete from it
-- without a replica identity. Without logical replication this costs nothing.
DO $identity$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT relid FROM pg_partition_tree('pgqueue.archive') LOOP
        EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', part);
    END LOOP;
END
$identity$;

-- The bounds are literals, written and read in one DateStyle and one time zone: a zone such as "IST" has several
-- meanings.
CREATE OR REPLACE FUNCTION pgqueue.add_partition(state text, first bigint, last bigint) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
SET timezone = 'UTC'
AS $add$
DECLARE
    part CONSTANT text := format('archive_%s_%s_%s', state, first, last);
BEGIN
    EXECUTE format('CREATE TABLE pgqueue.%I PARTITION OF pgqueue.%I FOR VALUES FROM (%L) TO (%L)',
                   part, format('archive_%s', state), to_timestamp(first), to_timestamp(last));
    EXECUTE format('ALTER TABLE pgqueue.%I REPLICA IDENTITY FULL', part);
END
$add$;

-- Drops a partition with its jobs; the few that unfinished children may still read move to the default partition. These
-- are looked for twice: first without a lock, to learn how many they are and how long that takes; then under the lock,
-- which waits for a transaction that adds a child. Completions wait meanwhile. So a partition with too many such jobs,
-- or that takes too long to search, is refused (object_in_use), and the caller deletes row by row. Tables are locked in
-- the order in which a query locks them.
CREATE OR REPLACE FUNCTION pgqueue.drop_partition(part regclass) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = on
SET enable_hashjoin = on
SET enable_mergejoin = on
AS $drop$
DECLARE
    state  CONSTANT regclass := (SELECT inhparent FROM pg_inherits WHERE inhrelid = part);
    parents bigint[];
    wanted bigint[];
    size   bigint;
    began  timestamptz;
BEGIN
    IF NOT EXISTS (
        SELECT
        FROM pg_inherits AS above
        JOIN pg_class AS c ON c.oid = part
        WHERE above.inhrelid = state AND above.inhparent = 'pgqueue.archive'::regclass AND c.relname ~ '_[0-9]+_[0-9]+$'
    ) THEN
        RAISE EXCEPTION 'pgqueue: % is no day of the archive', part USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR look IN 1..2 LOOP
        IF look = 2 THEN
            EXECUTE format('LOCK TABLE ONLY %s, %s IN ACCESS EXCLUSIVE MODE', state, part);
        END IF;
        began := clock_timestamp();
        parents := ARRAY(
            SELECT d.parent_id FROM pgqueue.dependency AS d JOIN pgqueue.job AS j ON j.id = d.child_id
            WHERE d.outcome IS NOT NULL LIMIT 100001);
        EXECUTE format('SELECT array_agg(a.id), sum(coalesce(pg_column_size(a.args), 0) '
                       '+ coalesce(pg_column_size(a.result), 0) + coalesce(pg_column_size(a.errors), 0) '
                       '+ coalesce(pg_column_size(a.progress), 0) + coalesce(pg_column_size(a.metadata), 0)) '
                       'FROM %s AS a WHERE a.id = ANY ($1)', part)
        INTO wanted, size USING parents;
        IF cardinality(parents) > 100000 OR cardinality(wanted) > 1000 OR size > 8000000
           OR (look = 1 AND clock_timestamp() - began > interval '250 ms') THEN
            RAISE EXCEPTION 'pgqueue: unfinished jobs want too much of % for it to be dropped', part
                USING ERRCODE = 'object_in_use';
        END IF;
    END LOOP;
    IF wanted IS NOT NULL THEN
        EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', state, part);
        EXECUTE format('INSERT INTO pgqueue.archive SELECT * FROM %s WHERE id = ANY ($1)', part) USING wanted;
    END IF;
    EXECUTE format('DROP TABLE %s', part);
END
$drop$;

-- Where the store is: what tells a copy from its original, as far as this role may ask. A standby that takes over has
-- the same system identifier; a restored dump, and a cluster that was made anew, have another.
CREATE FUNCTION pgqueue.place() RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $place$
DECLARE
    system text;
BEGIN
    BEGIN
        SELECT system_identifier INTO system FROM pg_control_system();
    EXCEPTION WHEN OTHERS THEN
        system := NULL;
    END;
    RETURN jsonb_strip_nulls(jsonb_build_object('system', system, 'database', current_database()));
END
$place$;

-- The place that the store has noted: one row, written by the first worker, and by `pgqueue adopt`. *store_id*: the
-- name of this store in those that copy from it.
CREATE TABLE pgqueue.home (
    one         boolean PRIMARY KEY DEFAULT true,
    store_id    text    NOT NULL,
    place       jsonb   NOT NULL,
    environment text,
    CONSTRAINT home_is_one CHECK (one),
    CONSTRAINT home_environment_has_a_length CHECK (length(environment) BETWEEN 1 AND 128)
);

INSERT INTO pgqueue.migration (version) VALUES ('0004');
