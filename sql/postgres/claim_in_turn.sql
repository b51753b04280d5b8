-- claim_in_turn: as claim, key by key, within the limits of the queue.
--
-- in:   queue text · worker integer · lease bigint · limit integer · now   as for claim
--       last_key text: the key that had its turn last
--       quantum integer: so many jobs of a key at a turn, times its weight, while others wait
--       steps   integer: look at so many keys at the most
-- out:  keys text array, in turn, of which jobs may be claimed · after: the last that was looked at · more: not all keys
--       were · contended: another worker was claiming of a key, or of the queue · free_seconds: until a rate allows
--       more · limited: the queue has limits · keyed: a key was among them.
--       Then the jobs, as claim answers, in no order
-- walks: job_turn by leaps, from one key to the next; job_plain for key ''; job_permit; start
-- trap: two statements. The first takes an advisory lock of each key, and of the queue, whose limits there are, and waits for
--       none; the second counts in a snapshot that is newer than the locks, so it sees all that was claimed under them
--       before. In one statement, ten jobs of a limit of ten became thirty. What the first one counts is a hint, which
--       keys to pass over. A collision of hashes costs a turn. In an ordered queue a job keeps its permit until it
--       ends, and nobody overtakes it: also not when its row is locked, so no SKIP LOCKED may look further. A start that
--       is more than a second ahead was noted by a clock that was wrong, and counts for nothing.
WITH RECURSIVE rule AS MATERIALIZED (
    SELECT coalesce(:now::timestamptz, clock_timestamp()) AS instant,
           q.paused_at IS NOT NULL AS paused,
           q.limits IS NOT NULL AS limited,
           (q.limits ->> 'concurrency')::integer AS concurrency,
           (q.limits #>> '{rate,0}')::integer AS rate,
           make_interval(secs => (q.limits #>> '{rate,1}')::float8) AS per,
           (q.limits ->> 'key_concurrency')::integer AS key_concurrency,
           (q.limits #>> '{key_rate,0}')::integer AS key_rate,
           make_interval(secs => (q.limits #>> '{key_rate,1}')::float8) AS key_per,
           coalesce((q.limits ->> 'ordered')::boolean, false) AS ordered,
           EXISTS (SELECT FROM pgqueue.queue_key AS k WHERE k.queue = :queue::text) AS excepted
    FROM (SELECT) AS one
    LEFT JOIN pgqueue.queue AS q ON q.name = :queue::text
), gate AS MATERIALIZED (
    SELECT r.*,
           CASE WHEN paused THEN false
                WHEN concurrency IS NULL AND rate IS NULL THEN true
                ELSE pg_try_advisory_xact_lock(hashtext('pgqueue') # 1953787508, hashtext(:queue::text)) END AS open,
           least(:limit::integer,
                 CASE WHEN concurrency IS NOT NULL THEN concurrency - (
                     SELECT count(*)::integer FROM pgqueue.job AS j
                     WHERE j.queue = :queue::text AND j.permit IS NOT NULL AND j.state = 'running') END,
                 CASE WHEN rate IS NOT NULL THEN rate - (
                     SELECT coalesce(sum(s.count), 0)::integer FROM pgqueue.start AS s
                     WHERE s.queue = :queue::text AND s.key = '' AND s.at <= instant + interval '1 second'
                       AND s.at >= instant - per) END) AS room
    FROM rule AS r
), walk AS (
    SELECT 0 AS n, :last_key::text COLLATE "C" AS key, 0 AS lap, 0 AS granted, 0 AS has, false AS mine, false AS rated, 1 AS weight,
           NULL::integer AS most, NULL::integer AS rate, NULL::interval AS per
    UNION ALL
    SELECT w.n + 1, next.key, next.lap, w.granted + CASE WHEN mine.mine THEN has.has ELSE 0 END, has.has, mine.mine,
           room.rated, own.weight, own.most, own.rate, own.per
    FROM walk AS w
    CROSS JOIN gate AS g
    CROSS JOIN LATERAL (
        SELECT f.key, f.lap
        FROM (
            (SELECT j.key, w.lap
             FROM pgqueue.job AS j
             WHERE j.queue = :queue::text AND j.state = 'available' AND j.key > '' AND j.key > w.key
               AND (w.lap = 0 OR j.key <= :last_key::text COLLATE "C")
             ORDER BY j.key
             LIMIT 1)
            UNION ALL
            (SELECT j.key, 1
             FROM pgqueue.job AS j
             WHERE j.queue = :queue::text AND j.state = 'available' AND j.key = '' AND w.lap = 0
             LIMIT 1)
            UNION ALL
            (SELECT j.key, 1
             FROM pgqueue.job AS j
             WHERE j.queue = :queue::text AND j.state = 'available' AND j.key > '' AND w.lap = 0
               AND j.key <= :last_key::text COLLATE "C"
             ORDER BY j.key
             LIMIT 1)
        ) AS f(key, lap)
        LIMIT 1
    ) AS next
    CROSS JOIN LATERAL (
        SELECT coalesce((e.limits ->> 'weight')::integer, 1) AS weight,
               CASE WHEN next.key <> '' THEN coalesce((e.limits ->> 'concurrency')::integer, g.key_concurrency) END AS most,
               CASE WHEN next.key <> '' THEN coalesce((e.limits #>> '{rate,0}')::integer, g.key_rate) END AS rate,
               coalesce(make_interval(secs => (e.limits #>> '{rate,1}')::float8), g.key_per) AS per
        FROM (SELECT CASE WHEN g.excepted THEN (
                  SELECT k.limits FROM pgqueue.queue_key AS k WHERE k.queue = :queue::text AND k.key = next.key) END) AS e(limits)
        OFFSET 0
    ) AS own
    CROSS JOIN LATERAL (
        SELECT CASE WHEN g.ordered THEN CASE coalesce((
                   SELECT j.state FROM pgqueue.job AS j
                   WHERE j.queue = :queue::text AND j.key = next.key AND j.permit IS NOT NULL
                   ORDER BY j.permit
                   LIMIT 1), 'available') WHEN 'available' THEN 1 ELSE 0 END
               ELSE least(
                   :quantum::integer * own.weight,
                   CASE WHEN own.most IS NOT NULL THEN own.most - (
                       SELECT count(*)::integer FROM pgqueue.job AS j
                       WHERE j.queue = :queue::text AND j.key = next.key AND j.permit IS NOT NULL AND j.state = 'running') END)
               END AS room,
               CASE WHEN own.rate IS NOT NULL THEN own.rate - (
                   SELECT coalesce(sum(s.count), 0)::integer FROM pgqueue.start AS s
                   WHERE s.queue = :queue::text AND s.key = next.key AND s.at <= g.instant + interval '1 second'
                     AND s.at >= g.instant - own.per) END AS starts
        OFFSET 0
    ) AS free
    CROSS JOIN LATERAL (
        SELECT least(free.room, free.starts) AS room, free.room > 0 AND free.starts <= 0 AS rated
    ) AS room
    CROSS JOIN LATERAL (
        SELECT CASE WHEN room.room > 0 THEN (
            SELECT count(*)::integer FROM (
                SELECT FROM pgqueue.job AS j
                WHERE j.queue = :queue::text AND j.key > '' AND j.key = next.key AND j.state = 'available'
                UNION ALL
                SELECT FROM pgqueue.job AS j
                WHERE j.queue = :queue::text AND j.key = '' AND next.key = '' AND j.state = 'available'
                LIMIT room.room) AS found) ELSE 0 END AS has
        OFFSET 0
    ) AS has
    CROSS JOIN LATERAL (
        SELECT CASE WHEN has.has = 0 THEN false
                    WHEN own.most IS NULL AND own.rate IS NULL AND NOT g.ordered THEN true
                    ELSE pg_try_advisory_xact_lock(hashtext('pgqueue') # 1953787508,
                                                   hashtext(:queue::text || ' ' || next.key)) END AS mine
        OFFSET 0
    ) AS mine
    WHERE g.open AND w.granted < g.room AND w.n < :steps::integer
), looked AS MATERIALIZED (
    SELECT * FROM walk WHERE n > 0
), noted AS (
    SELECT set_config('pgqueue_local.turn', jsonb_build_object(
               'limited', g.limited, 'ordered', g.ordered, 'concurrency', g.concurrency, 'rate', g.rate,
               'per', extract(epoch FROM g.per), 'complete', f.complete,
               'keys', f.keys)::text, true), f.complete
    FROM gate AS g, (
        SELECT coalesce(max(granted), 0) < (SELECT room FROM gate) AND coalesce(max(n), 0) < :steps::integer AS complete,
               coalesce(jsonb_agg(jsonb_build_object(
                   'key', key, 'weight', weight, 'most', most, 'rate', rate, 'per', extract(epoch FROM per)) ORDER BY n)
                   FILTER (WHERE mine), '[]') AS keys
        FROM looked
    ) AS f
)
SELECT ARRAY(SELECT key FROM looked WHERE mine ORDER BY n),
       coalesce((SELECT key FROM looked ORDER BY n DESC LIMIT 1), :last_key::text),
       g.open AND g.room > 0 AND NOT noted.complete,
       NOT g.open AND NOT g.paused OR EXISTS (SELECT FROM looked WHERE has > 0 AND NOT mine),
       extract(epoch FROM least(
           CASE WHEN g.room <= 0 AND g.rate IS NOT NULL THEN (
               SELECT s.at FROM (SELECT s.at, sum(s.count) OVER (ORDER BY s.at DESC) AS since FROM pgqueue.start AS s
                                 WHERE s.queue = :queue::text AND s.key = '' AND s.at <= g.instant + interval '1 second'
                                   AND s.at >= g.instant - g.per) AS s
               WHERE s.since >= g.rate ORDER BY s.at DESC LIMIT 1) + g.per END,
           (SELECT min(soonest.at + l.per)
            FROM looked AS l
            CROSS JOIN LATERAL (
                SELECT s.at FROM (SELECT s.at, sum(s.count) OVER (ORDER BY s.at DESC) AS since FROM pgqueue.start AS s
                                  WHERE s.queue = :queue::text AND s.key = l.key AND s.at <= g.instant + interval '1 second'
                                    AND s.at >= g.instant - l.per) AS s
                WHERE s.since >= l.rate ORDER BY s.at DESC LIMIT 1) AS soonest
            WHERE l.rated)) - g.instant)::float8,
       g.limited,
       EXISTS (SELECT FROM looked WHERE key <> '')
FROM gate AS g, noted;

WITH turn AS MATERIALIZED (
    SELECT t.*, make_interval(secs => t.seconds) AS per, coalesce(:now::timestamptz, clock_timestamp()) AS instant,
           jsonb_array_length(t.keys) AS count
    FROM (
        SELECT (said ->> 'limited')::boolean AS limited, (said ->> 'ordered')::boolean AS ordered,
               (said ->> 'concurrency')::integer AS concurrency, (said ->> 'rate')::integer AS rate,
               (said ->> 'per')::float8 AS seconds, (said ->> 'complete')::boolean AS complete, said -> 'keys' AS keys
        FROM (SELECT nullif(current_setting('pgqueue_local.turn', true), '')::jsonb AS said) AS s
    ) AS t
), whole AS MATERIALIZED (
    SELECT t.*,
           greatest(0, least(:limit::integer,
                 CASE WHEN concurrency IS NOT NULL THEN concurrency - (
                     SELECT count(*)::integer FROM pgqueue.job AS j
                     WHERE j.queue = :queue::text AND j.permit IS NOT NULL AND j.state = 'running') END,
                 CASE WHEN rate IS NOT NULL THEN rate - (
                     SELECT coalesce(sum(s.count), 0)::integer FROM pgqueue.start AS s
                     WHERE s.queue = :queue::text AND s.key = '' AND s.at <= instant + interval '1 second'
                       AND s.at >= instant - per) END)) AS room,
           CASE WHEN complete THEN (
               SELECT greatest(:quantum::integer, :limit::integer / sum((k ->> 'weight')::integer)::integer)
               FROM jsonb_array_elements(keys) AS k) ELSE :quantum::integer END AS quantum
    FROM turn AS t
    WHERE count > 0
), own AS MATERIALIZED (
    SELECT k.n, k.key, k.rate, make_interval(secs => k.seconds) AS per,
           greatest(0, least(
               w.quantum * k.weight,
               CASE WHEN k.most IS NOT NULL AND NOT w.ordered THEN k.most - (
                   SELECT count(*)::integer FROM pgqueue.job AS j
                   WHERE j.queue = :queue::text AND j.key = k.key AND j.permit IS NOT NULL AND j.state = 'running') END,
               CASE WHEN k.rate IS NOT NULL THEN k.rate - (
                   SELECT coalesce(sum(s.count), 0)::integer FROM pgqueue.start AS s
                   WHERE s.queue = :queue::text AND s.key = k.key AND s.at <= w.instant + interval '1 second'
                     AND s.at >= w.instant - make_interval(secs => k.seconds)) END,
               CASE WHEN w.ordered THEN 1 END)) AS room,
           CASE WHEN w.ordered THEN coalesce((
               SELECT CASE j.state WHEN 'available' THEN j.ctid ELSE '(0,0)'::tid END FROM pgqueue.job AS j
               WHERE j.queue = :queue::text AND j.key = k.key AND j.permit IS NOT NULL
               ORDER BY j.permit
               LIMIT 1), (
               SELECT j.ctid FROM pgqueue.job AS j
               WHERE j.queue = :queue::text AND j.key > '' AND j.key = k.key AND j.state = 'available'
               ORDER BY j.priority, j.position
               LIMIT 1), (
               SELECT j.ctid FROM pgqueue.job AS j
               WHERE j.queue = :queue::text AND j.key = '' AND k.key = '' AND j.state = 'available'
               ORDER BY j.priority, j.position
               LIMIT 1)) END AS first
    FROM whole AS w
    CROSS JOIN ROWS FROM (jsonb_to_recordset(w.keys) AS (
        key text, weight integer, most integer, rate integer, per float8)) WITH ORDINALITY AS k(key, weight, most, rate, seconds, n)
), chosen AS MATERIALIZED (
    SELECT c.ctid
    FROM (
        SELECT own.n, j.ctid
        FROM own
        CROSS JOIN LATERAL (
            SELECT j.ctid FROM pgqueue.job AS j
            WHERE own.first IS NULL
              AND j.queue = :queue::text AND j.key > '' AND j.key = own.key COLLATE "C" AND j.state = 'available'
            ORDER BY j.priority, j.position
            LIMIT own.room
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS j
        UNION ALL
        SELECT own.n, j.ctid
        FROM own
        CROSS JOIN LATERAL (
            SELECT j.ctid FROM pgqueue.job AS j
            WHERE own.first IS NULL AND own.key = ''
              AND j.queue = :queue::text AND j.key = '' AND j.state = 'available'
            ORDER BY j.priority, j.position
            LIMIT own.room
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS j
        UNION ALL
        SELECT own.n, j.ctid
        FROM own
        CROSS JOIN LATERAL (
            SELECT j.ctid FROM pgqueue.job AS j
            WHERE j.ctid = own.first AND own.room > 0 AND j.state = 'available'
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS j
    ) AS c
    LIMIT (SELECT room FROM whole)
), claimed AS (
    UPDATE pgqueue.job AS j
    SET state = 'running',
        attempt = attempt + 1,
        lease = :lease::bigint,
        worker = :worker::integer,
        claimed_at = (SELECT instant FROM turn),
        permit = CASE WHEN (SELECT ordered FROM turn) THEN coalesce(j.permit, nextval('pgqueue.permit'))
                      WHEN (SELECT limited FROM turn) THEN nextval('pgqueue.permit') END
    WHERE j.ctid = ANY (ARRAY(SELECT ctid FROM chosen))
    RETURNING id, priority, position, attempt, task, args::text, max_attempts, timeout_seconds,
              date_part('epoch', run_at) AS run_at, rescues, progress::text, metadata::text, tags, workflow, queue, key,
              extract(epoch FROM expires_at - claimed_at)::float8 AS expires_in
), started AS (
    INSERT INTO pgqueue.start AS s (queue, key, at, count)
    SELECT :queue::text, g.key, whole.instant, count(*)
    FROM whole
    CROSS JOIN LATERAL (
        SELECT '' AS key FROM claimed WHERE whole.rate IS NOT NULL
        UNION ALL
        SELECT claimed.key FROM claimed WHERE claimed.key IN (SELECT own.key FROM own WHERE own.rate IS NOT NULL)
    ) AS g
    GROUP BY g.key, whole.instant
    ON CONFLICT (queue, key, at) DO UPDATE SET count = s.count + excluded.count
), forgotten AS (
    DELETE FROM pgqueue.start
    WHERE ctid = ANY (ARRAY(
        SELECT past.ctid
        FROM (SELECT '' AS key, whole.instant - per AS since FROM whole WHERE rate IS NOT NULL
              UNION ALL
              SELECT own.key, whole.instant - own.per FROM own, whole WHERE own.rate IS NOT NULL) AS old
        CROSS JOIN LATERAL (
            SELECT s.ctid FROM pgqueue.start AS s
            WHERE s.queue = :queue::text AND s.key = old.key COLLATE "C" AND s.at < old.since
            OFFSET 0
        ) AS past
    ))
)
SELECT * FROM claimed;
