-- prune: what is past its retention goes, by dropping whole partitions; partitions ahead are made.
--
-- in:   retention JSON {state: seconds, or null for ever}; a state that is missing, or 0, is not kept
--       now
-- out:  dropped: how many partitions went · deleted: rows that had no partition of their own
-- trap: DROP takes ACCESS EXCLUSIVE on the partitioned parent. Behind a long reader it would wait, and
--       every completion behind it: so it gives up after 50 ms and is asked again.
--       What an unfinished child may still want to read stays, in the default partition.
--       A partition spans a day or an eighth of the retention, so that there are never many: planning
--       gets slower with each. They belong to the schema's owner, so functions with its rights make and drop them.
SELECT set_config('lock_timeout', '50ms', true),
       set_config('pgqueue_local.retention', :retention::jsonb::text, true),
       set_config('pgqueue_local.instant', coalesce(:now::timestamptz, clock_timestamp())::text, true);

DO $prune$
DECLARE
    retention jsonb       := current_setting('pgqueue_local.retention')::jsonb;
    instant   timestamptz := current_setting('pgqueue_local.instant')::timestamptz;
    kept      float8;
    day       CONSTANT integer := 86400;
    width     integer;
    state     text;
    part      record;
    first     bigint;
    dropped   integer := 0;
    deleted   bigint  := 0;
    gone      bigint;
    unkept    boolean := false;
BEGIN
    FOREACH state IN ARRAY ARRAY['completed', 'cancelled', 'discarded'] LOOP
        kept := CASE WHEN retention ? state THEN (retention ->> state)::float8 ELSE 0 END;
        unkept := unkept OR kept IS NOT DISTINCT FROM 0;
        width := day * least(30, greatest(1, ceil(coalesce(kept, 240 * day) / day / 8)))::integer;

        FOR part IN
            SELECT c.oid::regclass AS name,
                   (regexp_match(c.relname, '_(\d+)_(\d+)$'))[2]::bigint AS upper
            FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
            WHERE i.inhparent = format('pgqueue.archive_%s', state)::regclass AND c.relname ~ '_\d+_\d+$'
        LOOP
            IF kept IS NOT NULL AND to_timestamp(part.upper) <= instant - make_interval(secs => kept) THEN
                PERFORM pgqueue.drop_partition(part.name);
                dropped := dropped + 1;
            END IF;
        END LOOP;

        IF kept IS NOT NULL THEN
            EXECUTE format('WITH past AS MATERIALIZED ('
                           'SELECT a.id FROM pgqueue.archive_%1$s_default AS a WHERE a.finished_at <= $1 AND NOT EXISTS ('
                           'SELECT FROM pgqueue.dependency AS d JOIN pgqueue.job AS j ON j.id = d.child_id '
                           'WHERE d.parent_id = a.id) FOR UPDATE SKIP LOCKED) '
                           'DELETE FROM pgqueue.archive_%1$s_default AS a USING past WHERE a.id = past.id', state)
            USING instant - make_interval(secs => kept);
            GET DIAGNOSTICS gone = ROW_COUNT;
            deleted := deleted + gone;
        END IF;

        -- Never for today, once the default partition has rows of today: they would have to move.
        FOR first IN
            SELECT s * width FROM generate_series(floor(extract(epoch FROM instant) / width)::bigint,
                                                  floor(extract(epoch FROM instant) / width)::bigint + 1) AS s
            WHERE kept IS NULL OR kept > 0
        LOOP
            CONTINUE WHEN EXISTS (
                SELECT FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
                WHERE i.inhparent = format('pgqueue.archive_%s', state)::regclass
                  AND (regexp_match(c.relname, '_(\d+)_(\d+)$'))[1]::bigint < first + width
                  AND (regexp_match(c.relname, '_(\d+)_(\d+)$'))[2]::bigint > first);
            EXECUTE format('SELECT count(*) FROM (SELECT FROM pgqueue.archive_%s_default '
                           'WHERE finished_at >= to_timestamp($1) AND finished_at < to_timestamp($2) LIMIT 1) AS r', state)
            INTO gone USING first, first + width;
            CONTINUE WHEN gone > 0;
            BEGIN
                PERFORM pgqueue.add_partition(state, first, first + width);
            EXCEPTION WHEN check_violation THEN
                NULL;  -- a completion was faster: it has put a row of today into the default partition
            END;
        END LOOP;
    END LOOP;

    DELETE FROM pgqueue.dependency AS d
    WHERE NOT EXISTS (SELECT FROM pgqueue.job AS j WHERE j.id IN (d.child_id, d.parent_id))
      AND NOT EXISTS (SELECT FROM pgqueue.archive AS a WHERE a.id = d.child_id)
      AND (unkept OR dropped + deleted > 0);

    DELETE FROM pgqueue.workflow AS w
    WHERE NOT EXISTS (SELECT FROM pgqueue.job AS j WHERE j.workflow = w.id)
      AND NOT EXISTS (SELECT FROM pgqueue.archive AS a WHERE a.workflow = w.id)
      AND (unkept OR dropped + deleted > 0);

    PERFORM set_config('pgqueue_local.dropped', dropped::text, true), set_config('pgqueue_local.deleted', deleted::text, true);
END
$prune$;

SELECT current_setting('pgqueue_local.dropped')::integer, current_setting('pgqueue_local.deleted')::bigint;
