-- 0010_unique: until when a unique key holds, and what happens to the next job that has it; the view says when a job is due.

-- A unique key has two columns, each with a unique index: unique_key and next_key. A job that is the only unfinished
-- one of its key has it in both, so no other job can have it in either. A job that begins to wait behind a running one
-- takes over next_key. Workers of the version before fill unique_key alone.
ALTER TABLE pgqueue.job ADD COLUMN next_key text;
CREATE UNIQUE INDEX job_next ON pgqueue.job (next_key) WHERE next_key IS NOT NULL;

-- A claim is an UPDATE, which evaluates every CHECK of the table. Sixteen of them cost half a microsecond a job, at its
-- insertion and at its claim, most of it because they were sixteen: so there are four now. job_state stays as it is: by
-- it the planner knows that no job of the live table has finished. The values that a job was given were checked when it
-- was inserted and do not change while it runs, so two of the CHECKs let every running row pass. Nobody inserts a
-- running row: job_fits_its_state demands a lease, and enqueuers may not write that column. Patterns match faster under
-- COLLATE "C"; most jobs are in the queue called default. A text that matches the pattern has as many bytes as
-- characters. A century has 3155760000 seconds.
ALTER TABLE pgqueue.job
    DROP CONSTRAINT job_running_has_a_lease,
    DROP CONSTRAINT job_blocked_by,
    DROP CONSTRAINT job_max_attempts,
    DROP CONSTRAINT job_timeout,
    DROP CONSTRAINT job_args,
    DROP CONSTRAINT job_run_at_is_an_instant,
    DROP CONSTRAINT job_enqueued_at_is_an_instant,
    DROP CONSTRAINT job_timeout_ends,
    DROP CONSTRAINT job_task_is_a_name,
    DROP CONSTRAINT job_queue_is_a_name,
    DROP CONSTRAINT job_unique_key_has_a_length,
    DROP CONSTRAINT job_metadata,
    DROP CONSTRAINT job_tags,
    DROP CONSTRAINT job_key_has_a_length,
    DROP CONSTRAINT job_expires_at_is_an_instant,
    ADD CONSTRAINT job_fits_its_state CHECK (
        CASE state WHEN 'running' THEN lease IS NOT NULL AND blocked_by = 0
                   WHEN 'blocked' THEN lease IS NULL AND blocked_by > 0
                   ELSE lease IS NULL AND blocked_by = 0 END) NOT VALID,
    ADD CONSTRAINT job_task_and_queue_are_names CHECK (
        state = 'running'
        OR task COLLATE "C" ~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$' AND octet_length(task) <= 128
        AND (queue = 'default' OR queue COLLATE "C" ~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$' AND octet_length(queue) <= 128)) NOT VALID,
    ADD CONSTRAINT job_has_sound_values CHECK (
        state = 'running'
        OR run_at > timestamptz '0001-01-02 00:00Z' AND run_at < timestamptz '9999-12-31 00:00Z'
        AND enqueued_at > timestamptz '0001-01-02 00:00Z' AND enqueued_at < timestamptz '9999-12-31 00:00Z'
        AND expires_at > timestamptz '0001-01-02 00:00Z' AND expires_at < timestamptz '9999-12-31 00:00Z'
        AND max_attempts >= 1
        AND timeout_seconds > 0 AND timeout_seconds <= double precision '3155760000'
        AND (key = '' OR length(key) <= 128)
        AND length(unique_key) BETWEEN 1 AND 512
        AND jsonb_typeof(args) = 'object'
        AND jsonb_typeof(metadata) = 'object'
        AND (tags IS NULL OR array_ndims(tags) = 1 AND array_position(tags, NULL) IS NULL AND cardinality(tags) <= 64)) NOT VALID;

DO $validate$
BEGIN
    IF pg_relation_size('pgqueue.job') < 64 * 1024 * 1024 THEN
        ALTER TABLE pgqueue.job VALIDATE CONSTRAINT job_fits_its_state, VALIDATE CONSTRAINT job_task_and_queue_are_names,
            VALIDATE CONSTRAINT job_has_sound_values;
    ELSE
        RAISE NOTICE 'pgqueue: when it suits: ALTER TABLE pgqueue.job VALIDATE CONSTRAINT job_fits_its_state, VALIDATE CONSTRAINT job_task_and_queue_are_names, VALIDATE CONSTRAINT job_has_sound_values';
    END IF;
END
$validate$;

-- Keys that hold for a time, whatever happens to the job.
CREATE TABLE pgqueue.recent (
    key    text        NOT NULL PRIMARY KEY,
    job_id bigint      NOT NULL,
    until  timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE pgqueue.recent IS 'Unique keys that hold until an instant, and the jobs that were enqueued with them.';
CREATE INDEX recent_until ON pgqueue.recent (until);

CREATE OR REPLACE VIEW pgqueue.jobs AS
SELECT id, queue, priority, position, state, task, args, attempt, max_attempts, rescues,
       run_at, enqueued_at, claimed_at, NULL::timestamptz AS finished_at, worker, lease,
       timeout_seconds, coalesce(unique_key, next_key) AS unique_key, blocked_by, cancel_requested, reason, NULL::jsonb AS result,
       errors, progress, metadata, tags, workflow, NULL::bigint AS cause, nullif(key, '') AS key, expires_at, keep,
       coalesce(due_at, run_at) AS due_at
FROM pgqueue.job
UNION ALL
SELECT id, queue, priority, NULL, state, task, args, attempt, max_attempts, rescues,
       run_at, enqueued_at, claimed_at, finished_at, worker, lease,
       timeout_seconds, unique_key, 0, false, reason, result,
       errors, progress, metadata, tags, workflow, cause, nullif(key, ''), NULL, NULL, run_at
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
        INSERT INTO pgqueue.job AS j (id, position, state, task, args, queue, key, priority, run_at, enqueued_at, max_attempts,
                                      timeout_seconds, unique_key, next_key, tags, metadata, workflow, blocked_by, expires_at, keep)
        SELECT g.id, g.position,
               CASE WHEN g.blocked_by > 0 THEN 'blocked' WHEN g.due > g.arrived THEN 'scheduled' ELSE 'available' END,
               g.task, coalesce(g.args, '{}'), coalesce(g.queue, 'default'), coalesce(g.key, ''), coalesce(g.priority, 0::smallint), g.due,
               g.arrived, coalesce(g.max_attempts, 10::smallint), g.timeout_seconds, g.unique_key, g.unique_key, g.tags, g.metadata,
               g.workflow, coalesce(g.blocked_by, 0),
               coalesce('epoch'::timestamptz + g.expires_at * interval '1 microsecond',
                        g.due + make_interval(secs => g.expires_seconds)), g.keep
        FROM given AS g
        ORDER BY g.unique_key, g.id
        ON CONFLICT DO NOTHING
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

-- Enqueues jobs whose keys have rules, one after the other in the order of their keys. Each is tried again until its
-- outcome is clear: a new job (*created*; or *next*: it waits behind the running job *behind*, by an edge that the
-- caller makes), or the job that is there (*existing*, *replaced*; or *too large*: then it is unchanged). Where all
-- keys hold for a time, as those of an inlet's messages do, one statement makes all jobs: one by one they cost the
-- server eight times as much. A key that was pruned after it was found is in no row: ask again.
CREATE FUNCTION pgqueue.enqueue_once(jobs jsonb, notify boolean, now timestamptz)
RETURNS TABLE (ordinal bigint, id bigint, outcome text, behind bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $once$
#variable_conflict use_column
DECLARE
    g         record;
    holder    record;
    held      pgqueue.job;
    first     text;
    second    text;
    merged    jsonb;
    name      text;
    due       timestamptz;
    to_wake   text[] := '{}';
    new_state text;
    tried     boolean;
    ordinals  bigint[];
    made      bigint[];
BEGIN
    IF NOT EXISTS (
        SELECT FROM jsonb_array_elements(jobs) AS e(job)
        WHERE job ->> 'unique_key' IS NOT NULL AND job ->> 'until_seconds' IS NULL
    ) THEN
        WITH given AS MATERIALIZED (
            SELECT n.*, nextval('pgqueue.job_id') AS new_id, nextval('pgqueue.position') AS place,
                   coalesce(n.run_at, now + make_interval(secs => coalesce(n.delay_seconds, 0))) AS due
            FROM ROWS FROM (jsonb_to_recordset(jobs) AS (
                task text, args jsonb, queue text, priority smallint, run_at timestamptz, delay_seconds float8,
                max_attempts smallint, timeout_seconds float8, unique_key text, tags text[], metadata jsonb,
                workflow bigint, blocked_by integer, expires_at bigint, expires_seconds float8, keep boolean, key text,
                until_seconds float8
            )) WITH ORDINALITY AS n
        ), taken AS (
            INSERT INTO pgqueue.recent AS r (key, job_id, until)
            SELECT DISTINCT ON (unique_key) unique_key, new_id, now + make_interval(secs => until_seconds)
            FROM given
            WHERE unique_key IS NOT NULL
            ORDER BY unique_key, ordinality
            ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, until = excluded.until WHERE r.until <= now
            RETURNING r.job_id
        ), inserted AS (
            INSERT INTO pgqueue.job AS j (id, position, state, task, args, queue, key, priority, run_at, enqueued_at, max_attempts,
                                          timeout_seconds, tags, metadata, workflow, blocked_by, expires_at, keep)
            SELECT new_id, place, CASE WHEN blocked_by > 0 THEN 'blocked' WHEN given.due > now THEN 'scheduled' ELSE 'available' END,
                   task, coalesce(args, '{}'), coalesce(queue, 'default'), coalesce(key, ''), coalesce(priority, 0::smallint),
                   given.due, now, coalesce(max_attempts, 10::smallint), timeout_seconds, tags, metadata, workflow,
                   coalesce(blocked_by, 0),
                   coalesce('epoch'::timestamptz + expires_at * interval '1 microsecond',
                            given.due + make_interval(secs => expires_seconds)), keep
            FROM given
            WHERE unique_key IS NULL OR new_id IN (SELECT t.job_id FROM taken AS t)
            ORDER BY new_id
            RETURNING j.id, j.queue, j.state, j.run_at
        ), woken AS (
            SELECT count(pgqueue.wake(topic))
            FROM (SELECT DISTINCT CASE WHEN i.state = 'available' THEN i.queue ELSE '@' END
                  FROM inserted AS i
                  WHERE i.state = 'available'
                     OR (i.state = 'scheduled' AND i.run_at < now + interval '30 seconds')) AS topics(topic)
            WHERE notify
        )
        SELECT array_agg(given.ordinality), array_agg(given.new_id) INTO ordinals, made
        FROM inserted AS i JOIN given ON given.new_id = i.id, woken;

        RETURN QUERY SELECT m.ordinal, m.id, 'created', NULL::bigint FROM unnest(ordinals, made) AS m(ordinal, id);
        IF coalesce(cardinality(made), 0) < jsonb_array_length(jobs) THEN
            RETURN QUERY
            SELECT e.ordinal, r.job_id, 'existing', NULL::bigint
            FROM jsonb_array_elements(jobs) WITH ORDINALITY AS e(job, ordinal)
            CROSS JOIN LATERAL (SELECT f.job_id FROM pgqueue.recent AS f WHERE f.key = e.job ->> 'unique_key' OFFSET 0) AS r
            WHERE NOT EXISTS (SELECT FROM unnest(ordinals) AS m(ordinal) WHERE m.ordinal = e.ordinal);
        END IF;
        RETURN;
    END IF;

    FOR g IN
        WITH given AS MATERIALIZED (
            SELECT n.*, nextval('pgqueue.job_id') AS new_id, nextval('pgqueue.position') AS place
            FROM ROWS FROM (jsonb_to_recordset(jobs) AS (
                task text, args jsonb, queue text, priority smallint, run_at timestamptz, delay_seconds float8,
                max_attempts smallint, timeout_seconds float8, unique_key text, tags text[], metadata jsonb,
                workflow bigint, blocked_by integer, expires_at bigint, expires_seconds float8, keep boolean, key text,
                until text, until_seconds float8, conflict text, merged text[], kept text[], at_most_seconds float8
            )) WITH ORDINALITY AS n
        )
        SELECT given.*, coalesce(given.run_at, now + make_interval(secs => coalesce(given.delay_seconds, 0))) AS due
        FROM given
        ORDER BY given.unique_key, given.ordinality
    LOOP
        ordinal := g.ordinality;
        tried := false;
        LOOP
            id := g.new_id;
            behind := NULL;
            outcome := 'created';
            first := g.unique_key;
            second := g.unique_key;
            IF g.until_seconds IS NOT NULL THEN
                first := NULL;
                second := NULL;
                INSERT INTO pgqueue.recent AS r (key, job_id, until)
                VALUES (g.unique_key, g.new_id, now + make_interval(secs => g.until_seconds))
                ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, until = excluded.until WHERE r.until <= now;
                IF NOT FOUND THEN
                    SELECT r.job_id INTO id FROM pgqueue.recent AS r WHERE r.key = g.unique_key;
                    CONTINUE WHEN NOT FOUND;
                    outcome := 'existing';
                END IF;
            ELSIF g.unique_key IS NOT NULL AND (tried OR g.until = 'started') THEN
                SELECT j.id, j.runs INTO holder
                FROM (SELECT f.id, f.state = 'running' AS runs FROM pgqueue.job AS f WHERE f.unique_key = g.unique_key
                      UNION ALL
                      SELECT f.id, f.state = 'running' FROM pgqueue.job AS f WHERE f.next_key = g.unique_key) AS j
                ORDER BY g.until = 'started' AND j.runs, CASE g.until WHEN 'started' THEN -j.id ELSE j.id END
                LIMIT 1;
                IF FOUND THEN
                    id := holder.id;
                    IF g.until IS DISTINCT FROM 'started' THEN
                        outcome := 'existing';
                    ELSIF NOT holder.runs AND g.conflict IS DISTINCT FROM 'replace' THEN
                        PERFORM FROM pgqueue.job AS j WHERE j.id = holder.id AND j.state <> 'running' FOR SHARE;
                        CONTINUE WHEN NOT FOUND;
                        outcome := 'existing';
                    ELSIF NOT holder.runs THEN
                        SELECT j.* INTO held FROM pgqueue.job AS j
                        WHERE j.id = holder.id AND j.state <> 'running' FOR NO KEY UPDATE;
                        CONTINUE WHEN NOT FOUND;
                        outcome := 'replaced';
                    ELSE
                        SELECT j.* INTO held FROM pgqueue.job AS j
                        WHERE j.id = holder.id AND j.state = 'running' FOR NO KEY UPDATE;
                        CONTINUE WHEN NOT FOUND;
                        outcome := 'next';
                        id := g.new_id;
                        behind := held.id;
                        first := CASE WHEN held.unique_key IS NULL THEN g.unique_key END;
                        second := CASE WHEN held.unique_key IS NOT NULL THEN g.unique_key END;
                        UPDATE pgqueue.job AS j SET next_key = NULL
                        WHERE j.id = held.id AND j.unique_key IS NOT NULL AND j.next_key IS NOT NULL;
                    END IF;
                END IF;
            END IF;

            IF outcome = 'replaced' THEN
                g.kept := coalesce(g.kept, '{}');
                merged := g.args;
                FOREACH name IN ARRAY coalesce(g.merged, '{}') LOOP
                    IF jsonb_typeof(held.args -> name) = 'array' THEN
                        merged := jsonb_set(merged, ARRAY[name], (held.args -> name) || CASE jsonb_typeof(g.args -> name)
                                            WHEN 'array' THEN g.args -> name ELSE '[]' END);
                    END IF;
                END LOOP;
                due := CASE WHEN 'run_at' = ANY (g.kept) THEN held.run_at
                            ELSE least(g.due, held.enqueued_at + make_interval(secs => g.at_most_seconds)) END;
                new_state := CASE WHEN held.blocked_by > 0 THEN 'blocked' WHEN due > now THEN 'scheduled' ELSE 'available' END;
                IF octet_length(merged::text) > 1048576 AND g.merged IS NOT NULL THEN
                    outcome := 'too large';
                ELSE
                    UPDATE pgqueue.job AS j
                    SET state = new_state, position = g.place, run_at = due, due_at = NULL, attempt = 0, rescues = 0,
                        reason = NULL, progress = NULL, keep = g.keep,
                        task = CASE WHEN 'args' = ANY (g.kept) THEN j.task ELSE g.task END,
                        args = CASE WHEN 'args' = ANY (g.kept) THEN j.args ELSE coalesce(merged, '{}') END,
                        queue = CASE WHEN 'queue' = ANY (g.kept) THEN j.queue ELSE coalesce(g.queue, 'default') END,
                        key = CASE WHEN 'key' = ANY (g.kept) THEN j.key ELSE coalesce(g.key, '') END,
                        priority = CASE WHEN 'priority' = ANY (g.kept) THEN j.priority ELSE coalesce(g.priority, 0::smallint) END,
                        max_attempts = CASE WHEN 'max_attempts' = ANY (g.kept) THEN j.max_attempts
                                            ELSE coalesce(g.max_attempts, 10::smallint) END,
                        timeout_seconds = CASE WHEN 'timeout' = ANY (g.kept) THEN j.timeout_seconds ELSE g.timeout_seconds END,
                        tags = CASE WHEN 'tags' = ANY (g.kept) THEN j.tags ELSE g.tags END,
                        metadata = CASE WHEN 'metadata' = ANY (g.kept) THEN j.metadata ELSE g.metadata END,
                        expires_at = CASE WHEN 'expires' = ANY (g.kept) THEN j.expires_at
                                          ELSE coalesce('epoch'::timestamptz + g.expires_at * interval '1 microsecond',
                                                        due + make_interval(secs => g.expires_seconds)) END
                    WHERE j.id = held.id
                    RETURNING j.queue INTO g.queue;
                    UPDATE pgqueue.job AS j SET permit = NULL
                    WHERE j.id = held.id AND j.permit IS NOT NULL AND (j.queue, j.key) <> (held.queue, held.key);
                END IF;
            ELSIF outcome IN ('created', 'next') THEN
                due := g.due;
                g.blocked_by := coalesce(g.blocked_by, 0) + (outcome = 'next')::integer;
                new_state := CASE WHEN g.blocked_by > 0 THEN 'blocked' WHEN due > now THEN 'scheduled' ELSE 'available' END;
                INSERT INTO pgqueue.job (id, position, state, task, args, queue, key, priority, run_at, enqueued_at, max_attempts,
                                         timeout_seconds, unique_key, next_key, tags, metadata, workflow, blocked_by, expires_at, keep)
                VALUES (g.new_id, g.place, new_state, g.task, coalesce(g.args, '{}'), coalesce(g.queue, 'default'), coalesce(g.key, ''),
                        coalesce(g.priority, 0::smallint), g.due, now, coalesce(g.max_attempts, 10::smallint), g.timeout_seconds,
                        first, second, g.tags, g.metadata, g.workflow, g.blocked_by,
                        coalesce('epoch'::timestamptz + g.expires_at * interval '1 microsecond',
                                 g.due + make_interval(secs => g.expires_seconds)), g.keep)
                ON CONFLICT DO NOTHING;
                IF NOT FOUND THEN  -- somebody else was faster: what there is now decides
                    g.blocked_by := g.blocked_by - (outcome = 'next')::integer;
                    tried := true;
                    CONTINUE;
                END IF;
            END IF;
            EXIT;
        END LOOP;
        RETURN NEXT;
        IF outcome IN ('created', 'replaced') AND new_state = 'available' THEN
            to_wake := to_wake || coalesce(g.queue, 'default');
        ELSIF outcome IN ('created', 'replaced') AND new_state = 'scheduled' AND due < now + interval '30 seconds' THEN
            to_wake := to_wake || '@'::text;
        END IF;
    END LOOP;
    IF notify THEN
        PERFORM pgqueue.wake(topic) FROM (SELECT DISTINCT unnest(to_wake)) AS topics(topic);
    END IF;
END
$once$;
REVOKE ALL ON FUNCTION pgqueue.enqueue_once FROM PUBLIC;

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
                          j.workflow, j.worker, j.priority, j.attempt, j.max_attempts, j.rescues, j.queue, j.key, j.task, coalesce(j.unique_key, j.next_key) AS unique_key,
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

DROP FUNCTION pgqueue.enqueue(text, jsonb, text, integer, timestamptz, interval, integer, interval, text, text[], jsonb, text);
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
    key           text             DEFAULT NULL,
    unique_until  text             DEFAULT 'finished'
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
    behind    bigint;
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

    IF unique_until IS DISTINCT FROM 'finished' THEN
        IF unique_key IS NULL THEN
            RAISE EXCEPTION 'pgqueue: %: unique_until without a unique_key', task
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        BEGIN
            IF unique_until IS NULL OR unique_until <> 'started'
               AND NOT extract(epoch FROM unique_until::interval) BETWEEN 0.000001 AND century THEN
                RAISE invalid_datetime_format;
            END IF;
        EXCEPTION
            WHEN invalid_datetime_format OR datetime_field_overflow OR interval_field_overflow THEN
                RAISE EXCEPTION 'pgqueue: %: unique_until % says no time', task, quote_nullable(unique_until)
                    USING ERRCODE = 'invalid_parameter_value',
                          HINT = 'Give finished, started, or how long: 1 hour.';
        END;
        SELECT made.id, made.behind INTO new_id, behind
        FROM pgqueue.enqueue_once(jsonb_build_array(jsonb_build_object(
            'task', task, 'args', args, 'queue', queue, 'key', key, 'priority', priority, 'run_at', due,
            'max_attempts', max_attempts, 'timeout_seconds', extract(epoch FROM timeout), 'unique_key', unique_key,
            'tags', nullif(tags, '{}'), 'metadata', metadata, 'until', CASE unique_until WHEN 'started' THEN 'started' END,
            'until_seconds', CASE WHEN unique_until <> 'started' THEN extract(epoch FROM unique_until::interval) END
        )), true, arrived) AS made;
        IF behind IS NOT NULL THEN
            PERFORM pgqueue.link(
                jsonb_build_array(jsonb_build_object('child', new_id, 'parent', behind, 'policy', 'run')),
                '[]', jsonb_build_array(behind), '["cancelled", "completed", "discarded"]', arrived);
        END IF;
        RETURN new_id;
    END IF;

    LOOP
        INSERT INTO pgqueue.job (state, task, args, queue, key, priority, run_at, enqueued_at, max_attempts,
                                 timeout_seconds, unique_key, next_key, tags, metadata)
        VALUES (CASE WHEN due > arrived THEN 'scheduled' ELSE 'available' END, task, args, queue,
                coalesce(key, ''), priority, due, arrived, max_attempts, extract(epoch FROM timeout), unique_key, unique_key,
                nullif(tags, '{}'), metadata)
        ON CONFLICT DO NOTHING
        RETURNING id INTO new_id;
        EXIT WHEN new_id IS NOT NULL;
        SELECT least((SELECT j.id FROM pgqueue.job AS j WHERE j.unique_key = enqueue.unique_key),
                     (SELECT j.id FROM pgqueue.job AS j WHERE j.next_key = enqueue.unique_key)) INTO new_id;
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
        EXECUTE format('GRANT EXECUTE ON FUNCTION pgqueue.enqueue_once(jsonb, boolean, timestamptz) TO %s', one.role);
        EXECUTE format('GRANT SELECT (next_key), INSERT (next_key) ON pgqueue.job TO %s', one.role);
    END LOOP;
    FOR one IN
        SELECT DISTINCT a.grantee::regrole AS role
        FROM pg_proc AS p CROSS JOIN aclexplode(p.proacl) AS a
        WHERE p.oid = 'pgqueue.drop_partition(regclass)'::regprocedure AND a.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON pgqueue.recent TO %s', one.role);
    END LOOP;
END
$grant$;

INSERT INTO pgqueue.migration (version) VALUES ('0010');
