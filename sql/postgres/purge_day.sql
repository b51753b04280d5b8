-- purge_day: deletes the oldest day of finished jobs in some states as a whole, if it is past an age.
--
-- in:   states  JSON array of finished states
--       older_seconds  every job of the day ended at least so long ago
--       now
-- out:  how many jobs were deleted; null when there is no such day, or none that can be deleted as a whole
-- trap: as in prune, DROP takes ACCESS EXCLUSIVE on the partitioned parent, so it gives up after 50 ms and comes last
--       in its transaction. What unfinished children want stays. A day that cannot be dropped is left to the caller,
--       which deletes row by row.
SELECT set_config('lock_timeout', '50ms', true),
       set_config('pgqueue_local.states', :states::jsonb::text, true),
       set_config('pgqueue_local.instant',
                  (extract(epoch FROM coalesce(:now::timestamptz, clock_timestamp())) - :older_seconds::float8)::text, true),
       set_config('pgqueue_local.pruned', '', true);

DO $day$
DECLARE
    past   CONSTANT float8 := current_setting('pgqueue_local.instant')::float8;
    part   record;
    before bigint;
    kept   bigint;
BEGIN
    IF NOT has_function_privilege(current_user, 'pgqueue.drop_partition(regclass)', 'EXECUTE') THEN
        RAISE EXCEPTION 'permission denied for function drop_partition' USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR part IN
        SELECT c.oid::regclass AS name, s.state, b.first, b.upper
        FROM jsonb_array_elements_text(current_setting('pgqueue_local.states')::jsonb) AS s(state)
        JOIN pg_inherits AS i ON i.inhparent = format('pgqueue.archive_%s', s.state)::regclass
        JOIN pg_class AS c ON c.oid = i.inhrelid
        CROSS JOIN LATERAL (
            SELECT (regexp_match(c.relname, '_([0-9]+)_[0-9]+$'))[1]::float8 AS first,
                   (regexp_match(c.relname, '_([0-9]+)$'))[1]::float8 AS upper
        ) AS b
        WHERE c.relname ~ '_[0-9]+_[0-9]+$' AND b.upper <= past
        ORDER BY b.first, s.state
    LOOP
        BEGIN
            EXECUTE format('SELECT count(*) FROM %s', part.name) INTO before;
            PERFORM pgqueue.drop_partition(part.name);
            SELECT count(*) INTO kept
            FROM pgqueue.archive AS a
            WHERE a.state = part.state
              AND a.finished_at >= to_timestamp(part.first) AND a.finished_at < to_timestamp(part.upper);
            PERFORM set_config('pgqueue_local.pruned', (before - kept)::text, true);
            EXIT;
        EXCEPTION WHEN OTHERS THEN
            NULL;  -- locked by somebody, wanted by too many children, or not ours to drop: try the next one
        END;
    END LOOP;
END
$day$;

SELECT nullif(current_setting('pgqueue_local.pruned'), '')::bigint;
