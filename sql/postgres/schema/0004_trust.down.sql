-- 0004_trust, undone.

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

    INSERT INTO pgqueue.dependency (child_id, parent_id, policy, name)
    SELECT child, parent, policy, name
    FROM jsonb_to_recordset(edges) AS e(child bigint, parent bigint, policy text, name text);

    UPDATE pgqueue.job AS j
    SET blocked_by = m.blocked_by
    FROM jsonb_to_recordset(merged) AS m(child bigint, blocked_by integer)
    WHERE j.id = ANY (ARRAY[m.child]) AND j.blocked_by > m.blocked_by;

    -- A job that existed before has all its edges counted already: none can be added.
    IF NOT has_table_privilege(session_user, 'pgqueue.job', 'UPDATE') AND EXISTS (
        SELECT
        FROM (SELECT DISTINCT e.child FROM jsonb_to_recordset(edges) AS e(child bigint)) AS e
        CROSS JOIN LATERAL (SELECT j.blocked_by FROM pgqueue.job AS j WHERE j.id = e.child OFFSET 0) AS j
        WHERE j.blocked_by < (SELECT count(*) FROM pgqueue.dependency AS d WHERE d.child_id = e.child AND d.outcome IS NULL)
    ) THEN
        RAISE EXCEPTION 'pgqueue: an edge leads to a job of the transaction that makes it'
            USING ERRCODE = 'insufficient_privilege';
    END IF;

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

CREATE OR REPLACE FUNCTION pgqueue.wake(topic text) RETURNS void
LANGUAGE sql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN pgqueue.asleep($1) THEN pg_catalog.pg_notify('pgqueue', $1) END
$$;

DROP FUNCTION pgqueue.enqueue_unique(jsonb, boolean, timestamptz);

ALTER TABLE pgqueue.workflow
    DROP CONSTRAINT workflow_created_at_is_an_instant,
    DROP CONSTRAINT workflow_name_is_a_name;
ALTER TABLE pgqueue.job
    DROP CONSTRAINT IF EXISTS job_text_can_be_read,
    DROP CONSTRAINT job_run_at_is_an_instant,
    DROP CONSTRAINT job_enqueued_at_is_an_instant,
    DROP CONSTRAINT job_timeout_ends,
    DROP CONSTRAINT job_task_is_a_name,
    DROP CONSTRAINT job_queue_is_a_name,
    DROP CONSTRAINT job_unique_key_has_a_length,
    DROP CONSTRAINT job_metadata,
    DROP CONSTRAINT job_tags;

ALTER TABLE pgqueue.job DROP COLUMN due_at;
ALTER TABLE pgqueue.worker DROP COLUMN remaining;

DO $identity$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT relid FROM pg_partition_tree('pgqueue.archive') LOOP
        EXECUTE format('ALTER TABLE %s REPLICA IDENTITY DEFAULT', part);
    END LOOP;
END
$identity$;

CREATE OR REPLACE FUNCTION pgqueue.add_partition(state text, first bigint, last bigint) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $add$
BEGIN
    EXECUTE format('CREATE TABLE pgqueue.%I PARTITION OF pgqueue.%I FOR VALUES FROM (%L) TO (%L)',
                   format('archive_%s_%s_%s', state, first, last), format('archive_%s', state),
                   to_timestamp(first), to_timestamp(last));
END
$add$;

CREATE OR REPLACE FUNCTION pgqueue.drop_partition(part regclass) RETURNS void
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

DROP TABLE pgqueue.home;
DROP FUNCTION pgqueue.place();

DELETE FROM pgqueue.migration WHERE version = '0004';
