-- 0013_one_check, undone.

ALTER TABLE pgqueue.job
    DROP CONSTRAINT job_is_sound,
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

DROP FUNCTION pgqueue.is_sound;

DELETE FROM pgqueue.migration WHERE version = '0013';
