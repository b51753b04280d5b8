-- prune: deletes what is past its retention, a portion a call; makes partitions ahead.
--
-- in:   retention JSON {state: seconds, or null for ever}; a state that is missing, or 0, is not kept
--       limit     integer: delete at most so many single rows of each state in this call
--       now
-- out:  dropped, made: how many partitions were dropped and made, at most one a call · deleted: single rows deleted ·
--       failed: JSON {state: why}. There is more to do until the first three are 0
-- trap: DROP takes ACCESS EXCLUSIVE on the partitioned parent. Behind a long reader it would wait, and
--       every completion behind it: so it gives up after 50 ms, and comes last in its call, which then commits at
--       once. A day that cannot be dropped, because unfinished children want much of it or because nobody here may
--       drop tables, is deleted row by row. What fails gives back its locks, and does not disturb the other states.
--       Rows are locked first and deleted by a new statement, which sees a child that was added meanwhile.
--       A partition spans a day or an eighth of the retention, so that there are never many: each one slows
--       planning. They belong to the schema's owner, so functions with its rights make and drop them.
SELECT set_config('lock_timeout', '50ms', true),
       set_config('pgqueue_local.retention', :retention::jsonb::text, true),
       set_config('pgqueue_local.limit', :limit::integer::text, true),
       set_config('pgqueue_local.instant', extract(epoch FROM coalesce(:now::timestamptz, clock_timestamp()))::text, true);

DO $prune$
DECLARE
    retention CONSTANT jsonb       := current_setting('pgqueue_local.retention')::jsonb;
    instant   CONSTANT timestamptz := to_timestamp(current_setting('pgqueue_local.instant')::float8);
    portion   CONSTANT bigint      := current_setting('pgqueue_local.limit')::bigint;
    day       CONSTANT integer     := 86400;
    unwanted  CONSTANT text        := 'a.finished_at <= $1 AND a.finished_at >= $2 AND a.finished_at < $3 AND NOT EXISTS ('
                                      'SELECT FROM pgqueue.dependency AS d JOIN pgqueue.job AS j ON j.id = d.child_id '
                                      'WHERE d.parent_id = a.id)';
    state     text;
    kept      float8;
    past      timestamptz;
    width     integer;
    part      record;
    rows_of   text;
    first     bigint;
    locked    bigint[];
    gone      bigint;
    went      bigint;
    droppable boolean;
    by_rows   boolean;
    dropped   integer := 0;
    made      integer := 0;
    deleted   bigint  := 0;
    failed    jsonb   := '{}';
BEGIN
    FOREACH state IN ARRAY ARRAY['completed', 'cancelled', 'discarded'] LOOP
        EXIT WHEN dropped + made > 0;
        kept := CASE WHEN retention ? state THEN (retention ->> state)::float8 ELSE 0 END;
        past := instant - make_interval(secs => kept);
        width := day * least(30, greatest(1, ceil(coalesce(kept, 240 * day) / day / 8)))::integer;
        went := 0;
        droppable := true;
        by_rows := false;
        BEGIN
            FOR part IN
                SELECT c.oid::regclass AS name, to_timestamp(b.first) AS first, to_timestamp(b.upper) AS upper, b.first AS turn
                FROM pg_inherits AS i
                JOIN pg_class AS c ON c.oid = i.inhrelid
                CROSS JOIN LATERAL (
                    SELECT (regexp_match(c.relname, '_([0-9]+)_[0-9]+$'))[1]::bigint AS first,
                           (regexp_match(c.relname, '_([0-9]+)$'))[1]::bigint AS upper
                ) AS b
                WHERE i.inhparent = format('pgqueue.archive_%s', state)::regclass
                  AND c.relname ~ '_[0-9]+_[0-9]+$' AND to_timestamp(b.upper) <= past
                UNION ALL
                SELECT NULL, timestamptz '-infinity', timestamptz 'infinity', NULL WHERE past IS NOT NULL
                ORDER BY turn
            LOOP
                IF part.name IS NOT NULL THEN
                    BEGIN
                        IF droppable THEN
                            PERFORM pgqueue.drop_partition(part.name);
                            dropped := 1;
                        END IF;
                    EXCEPTION
                        WHEN object_in_use THEN
                            by_rows := true;
                        WHEN OTHERS THEN
                            droppable := false;
                            by_rows := SQLSTATE NOT IN ('55P03', '40P01', '42P01');
                            failed := failed || jsonb_build_object(state, SQLERRM);
                    END;
                    EXIT WHEN dropped > 0;
                    CONTINUE WHEN NOT by_rows;
                END IF;
                CONTINUE WHEN went >= portion;
                rows_of := CASE WHEN part.name IS NULL THEN format('pgqueue.archive_%s_default AS a WHERE ', state)
                                ELSE format('pgqueue.archive AS a WHERE a.state = %L AND ', state) END || unwanted;
                EXECUTE format('SELECT ARRAY(SELECT a.id FROM %s LIMIT $4 FOR UPDATE OF a SKIP LOCKED)', rows_of)
                INTO locked USING past, part.first, part.upper, portion - went;
                EXECUTE format('DELETE FROM %s AND a.id = ANY ($4)', rows_of) USING past, part.first, part.upper, locked;
                GET DIAGNOSTICS gone = ROW_COUNT;
                went := went + gone;
            END LOOP;
            deleted := deleted + went;
        EXCEPTION WHEN OTHERS THEN
            failed := failed || jsonb_build_object(state, SQLERRM);
        END;

        -- Not for today once the default partition has rows of today: they would have to move.
        FOR first IN
            SELECT s * width FROM generate_series(floor(extract(epoch FROM instant) / width)::bigint,
                                                  floor(extract(epoch FROM instant) / width)::bigint + 1) AS s
            WHERE (kept IS NULL OR kept > 0) AND dropped = 0 AND droppable
        LOOP
            CONTINUE WHEN EXISTS (
                SELECT FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
                WHERE i.inhparent = format('pgqueue.archive_%s', state)::regclass
                  AND (regexp_match(c.relname, '_([0-9]+)_([0-9]+)$'))[1]::bigint < first + width
                  AND (regexp_match(c.relname, '_([0-9]+)_([0-9]+)$'))[2]::bigint > first);
            EXECUTE format('SELECT count(*) FROM (SELECT FROM pgqueue.archive_%s_default '
                           'WHERE finished_at >= to_timestamp($1) AND finished_at < to_timestamp($2) LIMIT 1) AS r', state)
            INTO gone USING first, first + width;
            CONTINUE WHEN gone > 0;
            BEGIN
                PERFORM pgqueue.add_partition(state, first, first + width);
                made := 1;
                EXIT;
            EXCEPTION
                WHEN check_violation THEN
                    NULL;  -- a completion was faster: it has put a row of today into the default partition
                WHEN OTHERS THEN
                    failed := failed || jsonb_build_object(state, SQLERRM);
                    EXIT;
            END;
        END LOOP;
    END LOOP;

    PERFORM set_config('pgqueue_local.pruned', jsonb_build_array(dropped, made, deleted, failed)::text, true);
END
$prune$;

SELECT (said ->> 0)::integer, (said ->> 1)::integer, (said ->> 2)::bigint, (said -> 3)::text
FROM (SELECT current_setting('pgqueue_local.pruned')::jsonb AS said) AS pruned;
