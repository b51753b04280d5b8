-- 0005_keys: jobs have keys, which say what belongs together inside a queue: a tenant, an account, a document.

-- No row is rewritten: existing jobs have no key. NOT VALID locks the table for a moment; its rows are checked under
-- that lock only if it is small, as in 0004.
ALTER TABLE pgqueue.job
    ADD COLUMN key text COLLATE "C" NOT NULL DEFAULT '',
    ADD CONSTRAINT job_key_has_a_length CHECK (length(key) <= 128) NOT VALID;
ALTER TABLE pgqueue.archive ADD COLUMN key text COLLATE "C" NOT NULL DEFAULT '';

DO $text$
BEGIN
    IF getdatabaseencoding() <> 'UTF8' THEN
        ALTER TABLE pgqueue.job
            ADD CONSTRAINT job_key_can_be_read CHECK (octet_length(convert_to(key, 'UTF8')) >= 0) NOT VALID;
    END IF;
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

CREATE OR REPLACE VIEW pgqueue.jobs AS
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

DROP FUNCTION pgqueue.enqueue(text, jsonb, text, integer, timestamptz, interval, integer, interval, text, text[], jsonb);
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
    metadata      jsonb            DEFAULT NULL,
    key           text             DEFAULT NULL
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
    IF key = '' OR length(key) > 128 THEN
        RAISE EXCEPTION 'pgqueue: %: key must have 1 to 128 characters', task
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
        INSERT INTO pgqueue.job (state, task, args, queue, key, priority, run_at, enqueued_at, max_attempts,
                                 timeout_seconds, unique_key, tags, metadata)
        VALUES (CASE WHEN due > arrived THEN 'scheduled' ELSE 'available' END, task, args, queue,
                coalesce(key, ''), priority, due, arrived, max_attempts, extract(epoch FROM timeout), unique_key, nullif(tags, '{}'), metadata)
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
                          j.workflow, j.worker, j.priority, j.attempt, j.max_attempts, j.rescues, j.queue, j.key, j.task, j.unique_key,
                          coalesce(e.reason, j.reason) AS reason, j.args, j.errors, j.progress, j.metadata, j.tags
            ), archived AS (
                INSERT INTO pgqueue.archive
                    (finished_at, state, cause, id, lease, run_at, enqueued_at, claimed_at, timeout_seconds, workflow,
                     worker, priority, attempt, max_attempts, rescues, queue, key, task, unique_key,
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

-- Roles that were granted a part before may enqueue jobs with keys, too.
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
        EXECUTE format('GRANT INSERT (key) ON pgqueue.job TO %s', one.role);
    END LOOP;
END
$grant$;

INSERT INTO pgqueue.migration (version) VALUES ('0005');
