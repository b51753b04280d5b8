-- 0013_one_check: the values of a job are checked by one function.

-- Each statement that writes to a table parses and plans all its CHECKs, once for all its rows: for the single row of
-- an enqueue that was a third of the server's time. A function is planned once a session, but costs each row half a
-- microsecond. So the CHECK lets running rows pass, which claims write by the hundred, and calls the function for all
-- others. The values that a job was given were checked when it was inserted and do not change while it runs; nobody
-- inserts a running row, as enqueuers may not write its lease. job_state stays as it is: by it the planner knows that
-- no job of the live table has finished.
--
-- Not STRICT: most of a job's columns are null. No SET search_path, which would cost each row more than all of this:
-- instead every operator and function is named with its schema. Patterns match faster under COLLATE "C"; most jobs are
-- in the queue called default. A text that matches the pattern has as many bytes as characters. A century has
-- 3155760000 seconds.
CREATE FUNCTION pgqueue.is_sound(
    state text, blocked_by integer, lease bigint, run_at timestamptz, enqueued_at timestamptz, expires_at timestamptz,
    max_attempts smallint, timeout_seconds double precision, task text, queue text, key text, unique_key text,
    args jsonb, metadata jsonb, tags text[]
) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $sound$
BEGIN
    RETURN state OPERATOR(pg_catalog.<>) 'running' AND lease IS NULL
        AND CASE WHEN state OPERATOR(pg_catalog.=) 'blocked' THEN blocked_by OPERATOR(pg_catalog.>) 0
                 ELSE blocked_by OPERATOR(pg_catalog.=) 0 END
        AND run_at OPERATOR(pg_catalog.>) pg_catalog.timestamptz '0001-01-02 00:00Z'
        AND run_at OPERATOR(pg_catalog.<) pg_catalog.timestamptz '9999-12-31 00:00Z'
        AND enqueued_at OPERATOR(pg_catalog.>) pg_catalog.timestamptz '0001-01-02 00:00Z'
        AND enqueued_at OPERATOR(pg_catalog.<) pg_catalog.timestamptz '9999-12-31 00:00Z'
        AND expires_at OPERATOR(pg_catalog.>) pg_catalog.timestamptz '0001-01-02 00:00Z'
        AND expires_at OPERATOR(pg_catalog.<) pg_catalog.timestamptz '9999-12-31 00:00Z'
        AND max_attempts OPERATOR(pg_catalog.>=) 1
        AND timeout_seconds OPERATOR(pg_catalog.>) 0::pg_catalog.float8
        AND timeout_seconds OPERATOR(pg_catalog.<=) 3155760000::pg_catalog.float8
        AND task COLLATE pg_catalog."C" OPERATOR(pg_catalog.~) '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$'
        AND pg_catalog.octet_length(task) OPERATOR(pg_catalog.<=) 128
        AND (queue OPERATOR(pg_catalog.=) 'default'
             OR queue COLLATE pg_catalog."C" OPERATOR(pg_catalog.~) '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$'
                AND pg_catalog.octet_length(queue) OPERATOR(pg_catalog.<=) 128)
        AND (key OPERATOR(pg_catalog.=) '' OR pg_catalog.length(key) OPERATOR(pg_catalog.<=) 128)
        AND pg_catalog.length(unique_key) OPERATOR(pg_catalog.>=) 1
        AND pg_catalog.length(unique_key) OPERATOR(pg_catalog.<=) 512
        AND pg_catalog.jsonb_typeof(args) OPERATOR(pg_catalog.=) 'object'
        AND pg_catalog.jsonb_typeof(metadata) OPERATOR(pg_catalog.=) 'object'
        AND (tags IS NULL
             OR pg_catalog.array_ndims(tags) OPERATOR(pg_catalog.=) 1
                AND pg_catalog.array_position(tags, NULL) IS NULL
                AND pg_catalog.cardinality(tags) OPERATOR(pg_catalog.<=) 64);
END
$sound$;
COMMENT ON FUNCTION pgqueue.is_sound IS 'Whether a job that does not run may hold these values: what the table''s CHECK asks.';
-- Every role that writes jobs needs it, also workers of the version before, and it reveals nothing.
GRANT EXECUTE ON FUNCTION pgqueue.is_sound TO PUBLIC;

ALTER TABLE pgqueue.job
    DROP CONSTRAINT job_fits_its_state,
    DROP CONSTRAINT job_task_and_queue_are_names,
    DROP CONSTRAINT job_has_sound_values,
    ADD CONSTRAINT job_is_sound CHECK (
        state = 'running' AND lease IS NOT NULL AND blocked_by = 0
        OR pgqueue.is_sound(state, blocked_by, lease, run_at, enqueued_at, expires_at, max_attempts, timeout_seconds, task, queue,
                            key, unique_key, args, metadata, tags)) NOT VALID;

DO $validate$
BEGIN
    IF pg_relation_size('pgqueue.job') < 64 * 1024 * 1024 THEN
        ALTER TABLE pgqueue.job VALIDATE CONSTRAINT job_is_sound;
    ELSE
        RAISE NOTICE 'pgqueue: when it suits: ALTER TABLE pgqueue.job VALIDATE CONSTRAINT job_is_sound';
    END IF;
END
$validate$;

INSERT INTO pgqueue.migration (version) VALUES ('0013');
