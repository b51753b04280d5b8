-- 0001_jobs: everything the queue needs, in one schema of its own.
--
-- Runs in one transaction: `pgqueue migrate`, `alembic upgrade head`, or
-- `psql --single-transaction -f 0001_jobs.sql`. Safe while an application runs: it touches
-- nothing outside its schema. PostgreSQL 14 or later.

CREATE SCHEMA IF NOT EXISTS pgqueue;

CREATE TABLE pgqueue.migration (
    version    text        PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE pgqueue.migration IS 'Which schema files have been applied: the truth, whoever ran them.';

-- Ids stay below 2^53, where a double (JSON readers, Lua) is still exact.
CREATE SEQUENCE pgqueue.job_id AS bigint MAXVALUE 9007199254740991;

-- A job's place in its queue, taken anew each time it becomes available.
CREATE SEQUENCE pgqueue.position AS bigint;

-- The right to finish an attempt. A worker takes a block of ten million numbers in a durable
-- transaction and gives one to each of its claims. So a lease never repeats, although claims commit
-- asynchronously: a crash may lose a claim (the job is available again), never the block.
CREATE SEQUENCE pgqueue.lease AS bigint INCREMENT BY 10000000 MINVALUE 10000000 MAXVALUE 9007199250000000;

CREATE SEQUENCE pgqueue.worker_id AS integer;

-- Live jobs only: small, whatever the history. Wide columns last, eight-byte ones first.
CREATE TABLE pgqueue.job (
    id               bigint      NOT NULL DEFAULT nextval('pgqueue.job_id'),
    position         bigint      NOT NULL DEFAULT nextval('pgqueue.position'),
    lease            bigint,
    run_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    enqueued_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_at       timestamptz,
    timeout_seconds  double precision,
    workflow         bigint,
    worker           integer,
    blocked_by       integer     NOT NULL DEFAULT 0,
    priority         smallint    NOT NULL DEFAULT 0,
    attempt          smallint    NOT NULL DEFAULT 0,
    max_attempts     smallint    NOT NULL DEFAULT 10,
    rescues          smallint    NOT NULL DEFAULT 0,
    cancel_requested boolean     NOT NULL DEFAULT false,
    state            text        NOT NULL,
    queue            text        NOT NULL DEFAULT 'default',
    task             text        NOT NULL,
    unique_key       text,
    reason           text,
    args             jsonb       NOT NULL DEFAULT '{}',
    errors           jsonb,
    progress         jsonb,
    metadata         jsonb,
    tags             text[],
    PRIMARY KEY (id),
    CONSTRAINT job_state CHECK (state IN ('blocked', 'scheduled', 'available', 'running', 'retryable')),
    CONSTRAINT job_running_has_a_lease CHECK ((state = 'running') = (lease IS NOT NULL)),
    CONSTRAINT job_blocked_by CHECK (blocked_by >= 0 AND (blocked_by > 0) = (state = 'blocked')),
    CONSTRAINT job_max_attempts CHECK (max_attempts >= 1),
    CONSTRAINT job_timeout CHECK (timeout_seconds > 0),
    CONSTRAINT job_args CHECK (jsonb_typeof(args) = 'object')
) WITH (
    fillfactor = 90,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.05
);
COMMENT ON TABLE pgqueue.job IS 'Jobs that are not finished. For people: the view pgqueue.jobs.';

-- The order of a queue: what claim walks. Lease columns are in no index.
CREATE INDEX job_claim ON pgqueue.job (queue, priority, position) WHERE state = 'available';
-- Due jobs, for promote.
CREATE INDEX job_due ON pgqueue.job (run_at, id) WHERE state IN ('scheduled', 'retryable');
-- For the sweep that looks for stranded jobs.
CREATE INDEX job_blocked ON pgqueue.job (id) WHERE state = 'blocked';
CREATE UNIQUE INDEX job_unique ON pgqueue.job (unique_key) WHERE unique_key IS NOT NULL;
CREATE INDEX job_workflow ON pgqueue.job (workflow) WHERE workflow IS NOT NULL;

-- Finished jobs: append only, by state and then by day, so that retention drops tables instead of
-- deleting rows. The leader makes the partitions ahead; the default ones catch what has none.
CREATE TABLE pgqueue.archive (
    id               bigint      NOT NULL,
    lease            bigint,
    run_at           timestamptz NOT NULL,
    enqueued_at      timestamptz NOT NULL,
    claimed_at       timestamptz,
    finished_at      timestamptz NOT NULL,
    timeout_seconds  double precision,
    workflow         bigint,
    cause            bigint,
    worker           integer,
    priority         smallint    NOT NULL,
    attempt          smallint    NOT NULL,
    max_attempts     smallint    NOT NULL,
    rescues          smallint    NOT NULL,
    state            text        NOT NULL,
    queue            text        NOT NULL,
    task             text        NOT NULL,
    unique_key       text,
    reason           text,
    args             jsonb       NOT NULL,
    result           jsonb,
    errors           jsonb,
    progress         jsonb,
    metadata         jsonb,
    tags             text[]
) PARTITION BY LIST (state);
COMMENT ON TABLE pgqueue.archive IS 'Finished jobs, kept for the time of their state''s retention.';
COMMENT ON COLUMN pgqueue.archive.cause IS
    'The parent whose end cancelled this job: retrying that one revives this one.';

CREATE TABLE pgqueue.archive_completed PARTITION OF pgqueue.archive
    FOR VALUES IN ('completed') PARTITION BY RANGE (finished_at);
CREATE TABLE pgqueue.archive_cancelled PARTITION OF pgqueue.archive
    FOR VALUES IN ('cancelled') PARTITION BY RANGE (finished_at);
CREATE TABLE pgqueue.archive_discarded PARTITION OF pgqueue.archive
    FOR VALUES IN ('discarded') PARTITION BY RANGE (finished_at);

CREATE TABLE pgqueue.archive_completed_default PARTITION OF pgqueue.archive_completed DEFAULT;
CREATE TABLE pgqueue.archive_cancelled_default PARTITION OF pgqueue.archive_cancelled DEFAULT;
CREATE TABLE pgqueue.archive_discarded_default PARTITION OF pgqueue.archive_discarded DEFAULT;

CREATE INDEX archive_id ON pgqueue.archive (id);
CREATE INDEX archive_finished ON pgqueue.archive USING brin (finished_at) WITH (autosummarize = on);
CREATE INDEX archive_workflow ON pgqueue.archive (workflow) WHERE workflow IS NOT NULL;

-- The edges. *outcome*: how the parent ended, NULL until then, so an edge is counted once, even if a statement is
-- repeated. No index has *outcome*, so deciding an edge stays on its page.
CREATE TABLE pgqueue.dependency (
    child_id  bigint NOT NULL,
    parent_id bigint NOT NULL,
    policy    text   NOT NULL DEFAULT 'cancel',
    outcome   text,
    name      text,
    PRIMARY KEY (child_id, parent_id),
    CONSTRAINT dependency_policy CHECK (policy IN ('cancel', 'run')),
    CONSTRAINT dependency_outcome CHECK (outcome IN ('completed', 'cancelled', 'discarded')),
    CONSTRAINT dependency_leads_backwards CHECK (child_id <> parent_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX dependency_parent ON pgqueue.dependency (parent_id, child_id);

-- A graph that has a name. Its jobs share its id, a number of the jobs' own sequence.
CREATE TABLE pgqueue.workflow (
    id         bigint      PRIMARY KEY DEFAULT nextval('pgqueue.job_id'),
    created_at timestamptz NOT NULL,
    name       text        NOT NULL,
    tags       text[]
);

-- Only queues with a setting; a queue without a row is open and unlimited.
CREATE TABLE pgqueue.queue (
    name      text        PRIMARY KEY,
    paused_at timestamptz
);

-- Worker processes, a row each; no index on columns that change.
CREATE TABLE pgqueue.worker (
    id           integer     PRIMARY KEY DEFAULT nextval('pgqueue.worker_id'),
    running      integer     NOT NULL DEFAULT 0,
    pid          integer     NOT NULL,
    started_at   timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    suspected_at timestamptz,
    session      boolean     NOT NULL DEFAULT false,
    name         text        NOT NULL,
    host         text        NOT NULL,
    queues       text[]      NOT NULL,
    info         jsonb       NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
COMMENT ON COLUMN pgqueue.worker.session IS
    'The process holds the advisory lock (hashtext(schema), id) on its LISTEN connection while it lives.';

-- Jobs that `pgqueue copy` has brought from another store: their ids there, and here. A job that is not *here* yet has
-- an id already if the outcome of an edge is kept under it.
CREATE TABLE pgqueue.copied (
    source    text    NOT NULL,
    source_id bigint  NOT NULL,
    id        bigint  NOT NULL,
    here      boolean NOT NULL,
    PRIMARY KEY (source, source_id)
);

CREATE TABLE pgqueue.leader (
    name       text        PRIMARY KEY,
    worker     integer     NOT NULL,
    elected_at timestamptz NOT NULL,
    until      timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE VIEW pgqueue.jobs AS
SELECT id, queue, priority, position, state, task, args, attempt, max_attempts, rescues,
       run_at, enqueued_at, claimed_at, NULL::timestamptz AS finished_at, worker, lease,
       timeout_seconds, unique_key, blocked_by, cancel_requested, reason, NULL::jsonb AS result,
       errors, progress, metadata, tags, workflow, NULL::bigint AS cause
FROM pgqueue.job
UNION ALL
SELECT id, queue, priority, NULL, state, task, args, attempt, max_attempts, rescues,
       run_at, enqueued_at, claimed_at, finished_at, worker, lease,
       timeout_seconds, unique_key, 0, false, reason, result,
       errors, progress, metadata, tags, workflow, cause
FROM pgqueue.archive;
COMMENT ON VIEW pgqueue.jobs IS 'Every job, live or finished: for people, psql and reports.';

-- NOTIFY only if somebody sleeps. A transaction with a pending NOTIFY holds a cluster-wide lock through its commit, so
-- a notification that nobody needs is not sent. A sleeper holds a shared advisory lock on its topic: if we can take it
-- exclusively, nobody sleeps, and we release it at once. No table is read or written, so no snapshot hides a sleeper
-- and no vacuum is needed. Two sessions that try at the same instant are in each other's way: hence the second and
-- third try; one wake-up too many does no harm. The function is strict and a CASE, so it is never inlined and not
-- planned at each call, although its search_path is set: 1 of 3 us a call. Topics: a queue's name; '@' something is due
-- soon; '#7' job 7 has finished.
CREATE FUNCTION pgqueue.asleep(topic text) RETURNS boolean
LANGUAGE sql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN pg_catalog.pg_try_advisory_lock(pg_catalog.int4not(pg_catalog.hashtext('pgqueue')), pg_catalog.hashtext($1))
            THEN NOT pg_catalog.pg_advisory_unlock(pg_catalog.int4not(pg_catalog.hashtext('pgqueue')), pg_catalog.hashtext($1))
        WHEN pg_catalog.pg_try_advisory_lock(pg_catalog.int4not(pg_catalog.hashtext('pgqueue')), pg_catalog.hashtext($1))
            THEN NOT pg_catalog.pg_advisory_unlock(pg_catalog.int4not(pg_catalog.hashtext('pgqueue')), pg_catalog.hashtext($1))
        WHEN pg_catalog.pg_try_advisory_lock(pg_catalog.int4not(pg_catalog.hashtext('pgqueue')), pg_catalog.hashtext($1))
            THEN NOT pg_catalog.pg_advisory_unlock(pg_catalog.int4not(pg_catalog.hashtext('pgqueue')), pg_catalog.hashtext($1))
        ELSE true
    END
$$;

CREATE FUNCTION pgqueue.wake(topic text) RETURNS void
LANGUAGE sql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN pgqueue.asleep($1) THEN pg_catalog.pg_notify('pgqueue', $1) END
$$;

-- For triggers, psql and other languages: the same checks, the same row and the same conditional wake-up as Python's
-- enqueue. Returns the job's id, or that of the unfinished job that holds *unique_key*.
CREATE FUNCTION pgqueue.enqueue(
    task          text,
    args          jsonb            DEFAULT '{}',
    queue         text             DEFAULT 'default',
    priority      integer          DEFAULT 0,
    run_at        timestamptz      DEFAULT NULL,
    delay         interval         DEFAULT NULL,
    max_attempts  integer          DEFAULT 10,
    timeout       interval         DEFAULT NULL,
    unique_key    text             DEFAULT NULL,
    tags          text[]           DEFAULT NULL,
    metadata      jsonb            DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $enqueue$
#variable_conflict use_variable
DECLARE
    name_form CONSTANT text := '^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}$';
    century   CONSTANT numeric := 36525 * 86400.0;
    arrived   CONSTANT timestamptz := clock_timestamp();
    due       timestamptz := coalesce(run_at, arrived + coalesce(delay, interval '0'));
    tag       text;
    new_id    bigint;
BEGIN
    IF task IS NULL OR task !~ name_form THEN
        RAISE EXCEPTION 'pgqueue: task name % is not valid', quote_nullable(task)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Letters, digits and _ . : / -, at most 128.';
    END IF;
    IF queue IS NULL OR queue !~ name_form THEN
        RAISE EXCEPTION 'pgqueue: %: queue name % is not valid', task, quote_nullable(queue)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Letters, digits and _ . : / -, at most 128.';
    END IF;
    IF args IS NULL OR jsonb_typeof(args) <> 'object' THEN
        RAISE EXCEPTION 'pgqueue: %: args must be a JSON object of parameter names and values', task
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF octet_length(args::text) > 1048576 THEN
        RAISE EXCEPTION 'pgqueue: %: args are % bytes, the limit is 1048576', task, octet_length(args::text)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Store the data elsewhere and pass its key.';
    END IF;
    IF priority IS NULL OR priority NOT BETWEEN -32768 AND 32767 THEN
        RAISE EXCEPTION 'pgqueue: %: priority % is not between -32768 and 32767', task, priority
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF max_attempts IS NULL OR max_attempts NOT BETWEEN 1 AND 32767 THEN
        RAISE EXCEPTION 'pgqueue: %: max_attempts % is not between 1 and 32767', task, max_attempts
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF run_at IS NOT NULL AND delay IS NOT NULL THEN
        RAISE EXCEPTION 'pgqueue: %: give run_at or delay, not both', task
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF delay < interval '0' THEN
        RAISE EXCEPTION 'pgqueue: %: delay % is negative', task, delay
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF extract(epoch FROM delay) > century THEN
        RAISE EXCEPTION 'pgqueue: %: delay % is more than a hundred years', task, delay
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT due >= timestamptz '0002-01-01 00:00Z' OR NOT due < timestamptz '9999-01-01 00:00Z' THEN
        RAISE EXCEPTION 'pgqueue: %: run_at must be an instant, not %', task, due
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF timeout <= interval '0' THEN
        RAISE EXCEPTION 'pgqueue: %: timeout % is not positive', task, timeout
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF extract(epoch FROM timeout) > century THEN
        RAISE EXCEPTION 'pgqueue: %: timeout % is more than a hundred years', task, timeout
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF unique_key = '' OR length(unique_key) > 512 THEN
        RAISE EXCEPTION 'pgqueue: %: unique_key must have 1 to 512 characters', task
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF jsonb_typeof(metadata) <> 'object' THEN
        RAISE EXCEPTION 'pgqueue: %: metadata must be a JSON object', task
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF octet_length(metadata::text) > 65536 THEN
        RAISE EXCEPTION 'pgqueue: %: metadata are % bytes, the limit is 65536', task, octet_length(metadata::text)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Store the data elsewhere and pass its key.';
    END IF;
    tags := ARRAY(SELECT once.t FROM unnest(tags) WITH ORDINALITY AS once(t, n) GROUP BY once.t ORDER BY min(once.n));
    IF cardinality(tags) > 64 THEN
        RAISE EXCEPTION 'pgqueue: %: % tags, the limit is 64', task, cardinality(tags)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH tag IN ARRAY tags LOOP
        IF tag IS NULL OR tag !~ name_form THEN
            RAISE EXCEPTION 'pgqueue: %: tag % is not valid', task, quote_nullable(tag)
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Letters, digits and _ . : / -, at most 128.';
        END IF;
    END LOOP;

    LOOP
        INSERT INTO pgqueue.job (state, task, args, queue, priority, run_at, enqueued_at, max_attempts,
                                 timeout_seconds, unique_key, tags, metadata)
        VALUES (CASE WHEN due > arrived THEN 'scheduled' ELSE 'available' END, task, args, queue, priority,
                due, arrived, max_attempts, extract(epoch FROM timeout), unique_key, nullif(tags, '{}'), metadata)
        ON CONFLICT DO NOTHING
        RETURNING id INTO new_id;
        EXIT WHEN new_id IS NOT NULL;
        SELECT j.id INTO new_id FROM pgqueue.job j WHERE j.unique_key = enqueue.unique_key;
        IF new_id IS NOT NULL THEN
            RETURN new_id;
        END IF;
    END LOOP;

    IF due > arrived THEN
        PERFORM pgqueue.wake('@') WHERE due < arrived + interval '30 seconds';
    ELSE
        PERFORM pgqueue.wake(queue);
    END IF;
    RETURN new_id;
END
$enqueue$;
COMMENT ON FUNCTION pgqueue.enqueue IS 'Enqueues one job in the caller''s transaction; returns its id.';

-- Functions with their owner's rights, for the roles that `pgqueue grant` names: an enqueuer needs rows that it may
-- neither read nor change, and a leader needs tables that it does not own.

-- Keeps parents as they are until this transaction ends; returns which of them exist, one perhaps twice. FOR KEY SHARE:
-- a parent can still be claimed and can fail its attempt, but cannot finish, and a finished one cannot be retried.
-- Locked in id order. One that finished while we waited is found by the second statement, one that was retried by the
-- third: each statement of a volatile function has a snapshot of its own. ARRAY(...) hides from the planner how many
-- there are; otherwise it would read the whole of a table that it believes to be small.
CREATE FUNCTION pgqueue.hold(ids bigint[]) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $hold$
BEGIN
    RETURN QUERY SELECT j.id FROM pgqueue.job AS j WHERE j.id = ANY (ARRAY(SELECT unnest(ids))) ORDER BY j.id FOR KEY SHARE;
    RETURN QUERY SELECT a.id FROM pgqueue.archive AS a WHERE a.id = ANY (ARRAY(SELECT unnest(ids))) ORDER BY a.id FOR KEY SHARE;
    RETURN QUERY SELECT j.id FROM pgqueue.job AS j WHERE j.id = ANY (ARRAY(SELECT unnest(ids))) ORDER BY j.id FOR KEY SHARE;
END
$hold$;

-- Makes edges from parents to children that this transaction has just enqueued as blocked; link.sql describes the
-- parameters. What happens to children whose parents have finished is, word for word, settle.sql and archive.sql.
CREATE FUNCTION pgqueue.link(edges jsonb, merged jsonb, elsewhere jsonb, keep jsonb, now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $link$
DECLARE
    said record;
    more boolean := true;
BEGIN
    PERFORM pgqueue.hold(ARRAY(SELECT jsonb_array_elements_text(elsewhere)::bigint));

    INSERT INTO pgqueue.dependency (child_id, parent_id, policy, name)
    SELECT child, parent, policy, name
    FROM jsonb_to_recordset(edges) AS e(child bigint, parent bigint, policy text, name text);

    UPDATE pgqueue.job AS j
    SET blocked_by = m.blocked_by
    FROM jsonb_to_recordset(merged) AS m(child bigint, blocked_by integer)
    WHERE j.id = m.child AND j.blocked_by > m.blocked_by;

    -- A job that existed before has all its edges counted already: none can be added.
    IF NOT has_table_privilege(session_user, 'pgqueue.job', 'UPDATE') AND EXISTS (
        SELECT
        FROM (SELECT DISTINCT e.child FROM jsonb_to_recordset(edges) AS e(child bigint)) AS e
        JOIN pgqueue.job AS j ON j.id = e.child
        WHERE j.blocked_by < (SELECT count(*) FROM pgqueue.dependency AS d WHERE d.child_id = j.id AND d.outcome IS NULL)
    ) THEN
        RAISE EXCEPTION 'pgqueue: an edge leads to a job of the transaction that makes it'
            USING ERRCODE = 'insufficient_privilege';
    END IF;

    PERFORM set_config('pgqueue_local.finished', coalesce(jsonb_object_agg(p.id, coalesce(a.state, 'completed')), '{}')::text, true)
    FROM (SELECT jsonb_array_elements_text(elsewhere)::bigint AS id) AS p
    LEFT JOIN pgqueue.archive AS a
        ON a.id = p.id AND a.id = ANY (ARRAY(SELECT jsonb_array_elements_text(elsewhere)::bigint))
    WHERE NOT EXISTS (SELECT FROM pgqueue.job AS j WHERE j.id = p.id);

    WHILE more LOOP
        FOR said IN
            WITH finished AS MATERIALIZED (
                SELECT current_setting('pgqueue_local.finished')::jsonb AS states
            ), decided AS (
                UPDATE pgqueue.dependency AS d
                SET outcome = (SELECT states FROM finished) ->> d.parent_id::text
                WHERE d.parent_id = ANY (ARRAY(SELECT jsonb_object_keys(states)::bigint FROM finished))
                  AND d.outcome IS NULL
                RETURNING d.child_id, d.parent_id, d.policy, d.outcome
            ), child AS MATERIALIZED (
                SELECT child_id AS id,
                       count(*)::integer AS decided,
                       min(parent_id) FILTER (WHERE outcome <> 'completed' AND policy = 'cancel') AS spoiled_by
                FROM decided
                GROUP BY child_id
            ), locked AS MATERIALIZED (
                SELECT child.*, nextval('pgqueue.position') AS position
                FROM (SELECT * FROM child ORDER BY id) AS child
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
                WHERE j.id = locked.id AND locked.spoiled_by IS NULL
                RETURNING j.queue, j.state
            ), woken AS (
                SELECT count(pgqueue.wake(topic)), array_agg(topic) AS queues
                FROM (SELECT DISTINCT CASE state WHEN 'available' THEN queue ELSE '@' END
                      FROM freed WHERE state <> 'blocked') AS topics(topic)
            ), told AS (
                SELECT count(pgqueue.wake('#' || id)) FROM finished, jsonb_object_keys(states) AS id
                WHERE (SELECT pgqueue.asleep('#'))
            ), ending AS (
                SELECT count(*) > 0 AS again,
                       set_config('pgqueue_local.ending', coalesce(jsonb_agg(jsonb_build_object(
                           'id', id, 'state', 'cancelled', 'cause', spoiled_by,
                           'reason', format('parent %s was %s', spoiled_by, states ->> spoiled_by::text))), '[]')::text, true)
                FROM finished, locked
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
                WHERE j.id = e.id
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
            SELECT set_config('pgqueue_local.finished', coalesce(jsonb_object_agg(id, state), '{}')::text, true)
            FROM ended
        LOOP
        END LOOP;
    END LOOP;
END
$link$;

-- Makes a partition for jobs that end in *state* between two instants, in seconds since the epoch.
CREATE FUNCTION pgqueue.add_partition(state text, first bigint, last bigint) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $add$
BEGIN
    EXECUTE format('CREATE TABLE pgqueue.%I PARTITION OF pgqueue.%I FOR VALUES FROM (%L) TO (%L)',
                   format('archive_%s_%s_%s', state, first, last), format('archive_%s', state),
                   to_timestamp(first), to_timestamp(last));
END
$add$;

-- Drops a partition with its jobs; those whose results an unfinished child may still read stay.
CREATE FUNCTION pgqueue.drop_partition(part regclass) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $drop$
DECLARE
    wanted jsonb;
BEGIN
    IF NOT EXISTS (
        SELECT
        FROM pg_inherits AS day
        JOIN pg_inherits AS state ON state.inhrelid = day.inhparent
        JOIN pg_class AS c ON c.oid = day.inhrelid
        WHERE day.inhrelid = part AND state.inhparent = 'pgqueue.archive'::regclass AND c.relname ~ '_\d+_\d+$'
    ) THEN
        RAISE EXCEPTION 'pgqueue: % is no day of the archive', part USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', part);
    EXECUTE format('SELECT jsonb_agg(to_jsonb(a)) FROM %s AS a WHERE a.id = ANY (ARRAY('
                   'SELECT d.parent_id FROM pgqueue.dependency AS d '
                   'JOIN pgqueue.job AS j ON j.id = d.child_id WHERE d.outcome IS NOT NULL))', part) INTO wanted;
    EXECUTE format('DROP TABLE %s', part);
    INSERT INTO pgqueue.archive SELECT * FROM jsonb_populate_recordset(NULL::pgqueue.archive, wanted);
END
$drop$;

REVOKE ALL ON FUNCTION pgqueue.hold, pgqueue.link, pgqueue.add_partition, pgqueue.drop_partition FROM PUBLIC;

INSERT INTO pgqueue.migration (version) VALUES ('0001');
