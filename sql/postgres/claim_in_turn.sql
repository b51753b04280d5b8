-- claim_in_turn: claims as `claim` does, but key by key, within the limits of the queue.
--
-- in:   queue text · worker integer · lease bigint · limit integer · now   as for claim
--       last_key text: the key whose turn was last
--       quantum integer: so many jobs of a key at a turn, times its weight, while other keys wait
--       steps   integer: look at no more than so many keys
--       counting boolean: the first statement counts what runs of each key, and passes over those that are full. Otherwise it
--               takes none for full: for a queue with few full keys
-- out:  keys text array, in turn, whose jobs may be claimed · after: the last key that was looked at · more: not all keys
--       were looked at · contended: another worker was claiming from a key, or from the queue · free_seconds: until a rate
--       allows more · limited: the queue has limits · keyed: a key was among them.
--       Then the jobs, as claim answers, in no order
-- walks: job_turn by leaps, from one key to the next; job_plain for key ''; job_permit; start
--        Past keys that are full: by leaps over 32 jobs, to the first key that is not full
-- trap: two statements. The first takes an advisory lock for each key, and for the queue if it has limits, and waits for
--       none; the second counts in a newer snapshot, so it sees all that was claimed under these locks before. In one
--       statement, a limit of ten let thirty jobs run. What the first one counts is only a hint: which keys to skip.
--       A collision of hashes costs a key its turn. In an ordered queue a job keeps its permit until it
--       ends, and no job overtakes it, even when its row is locked: so no SKIP LOCKED there. A start that lies
--       more than a second in the future was noted by a wrong clock, and does not count.
--       While vacuum is held back, dead index entries of a key are walked over twice: to find its first job, and to count, here
--       or, without *counting*, in the second statement. The first statement
--       hands on where the jobs of a key begin (not in an ordered queue, whose order is exact), and *lowest*, the smallest
--       permit of the key's running jobs. The second need not count below *lowest*. Why: permits ascend, and a claim holds
--       the key's lock until it has committed. So a smaller permit was given by a claim that had committed before the
--       one that gave *lowest*. Both had committed when the first statement began: it saw that job run and would have
--       counted it. Or the job has been claimed again since, and then it has a new, greater permit.
--       Which keys are full is read only after eight keys in vain, for all keys at once: that costs as much as counting them
--       one by one, but saves an index search for each. It is kept in a JSON document: the planner hashes a subplan only
--       when it expects few rows. A leap that ends at a full key returns that key, and the next leap begins after it.
WITH RECURSIVE gate AS MATERIALIZED (
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
    FROM (
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
               x.excepted,
               NOT x.excepted AND q.limits ->> 'key_concurrency' IS NOT NULL
                   AND NOT coalesce((q.limits ->> 'ordered')::boolean, false) AS leaps
        FROM (SELECT EXISTS (SELECT FROM pgqueue.queue_key AS k WHERE k.queue = :queue::text) AS excepted OFFSET 0) AS x
        LEFT JOIN pgqueue.queue AS q ON q.name = :queue::text
        OFFSET 0
    ) AS r
), crowd AS (
    SELECT coalesce(jsonb_object_agg(f.key, NULL), '{}') AS full_keys
    FROM (SELECT j.key
          FROM pgqueue.job AS j
          WHERE j.queue = :queue::text AND j.permit IS NOT NULL AND j.state = 'running'
          GROUP BY j.key
          HAVING count(*) >= (SELECT key_concurrency FROM gate)) AS f
), walk AS (
    SELECT 0 AS n, :last_key::text COLLATE "C" AS key, 0 AS lap, 0 AS granted, 0 AS has, false AS mine, false AS rated,
           NULL::bigint AS lowest, NULL::smallint AS priority, NULL::bigint AS position,
           1 AS weight, NULL::integer AS most, NULL::integer AS rate, NULL::interval AS per, 0 AS vain
    UNION ALL
    SELECT w.n + 1, next.key, next.lap, w.granted + CASE WHEN mine.mine THEN has.has ELSE 0 END, has.has, mine.mine,
           free.room > 0 AND free.starts <= 0, free.lowest, next.priority, next.position,
           own.weight, own.most, own.rate, own.per, CASE WHEN has.has = 0 THEN w.vain + 1 ELSE 0 END
    FROM walk AS w
    CROSS JOIN gate AS g
    CROSS JOIN LATERAL (SELECT g.leaps AND w.vain >= 8 AS leaps OFFSET 0) AS way
    CROSS JOIN LATERAL (
        SELECT f.*
        FROM (
            (SELECT near.key, 0 AS lap, near.priority, near.position
             FROM (SELECT j.key, j.priority, j.position
                   FROM pgqueue.job AS j
                   WHERE w.lap = 0 AND j.queue = :queue::text AND j.state = 'available' AND j.key > '' AND j.key > w.key
                   ORDER BY j.key, j.priority, j.position
                   LIMIT CASE WHEN way.leaps THEN 32 ELSE 1 END) AS near
             WHERE CASE WHEN way.leaps THEN NOT (SELECT full_keys FROM crowd) ? near.key ELSE true END
             LIMIT 1)
            UNION ALL
            (SELECT j.key, 0, NULL, NULL
             FROM pgqueue.job AS j
             WHERE way.leaps AND w.lap = 0 AND j.queue = :queue::text AND j.state = 'available' AND j.key > '' AND j.key > w.key
             ORDER BY j.key, j.priority, j.position
             OFFSET 31
             LIMIT 1)
            UNION ALL
            (SELECT j.key, 1, j.priority, j.position
             FROM pgqueue.job AS j
             WHERE w.lap = 0 AND j.queue = :queue::text AND j.state = 'available' AND j.key = ''
             ORDER BY j.priority, j.position
             LIMIT 1)
            UNION ALL
            (SELECT near.key, 1, near.priority, near.position
             FROM (SELECT j.key, j.priority, j.position
                   FROM pgqueue.job AS j
                   WHERE j.queue = :queue::text AND j.state = 'available' AND j.key > ''
                     AND j.key > CASE w.lap WHEN 0 THEN '' ELSE w.key END AND j.key <= :last_key::text COLLATE "C"
                   ORDER BY j.key, j.priority, j.position
                   LIMIT CASE WHEN way.leaps THEN 32 ELSE 1 END) AS near
             WHERE CASE WHEN way.leaps THEN NOT (SELECT full_keys FROM crowd) ? near.key ELSE true END
             LIMIT 1)
            UNION ALL
            (SELECT j.key, 1, NULL, NULL
             FROM pgqueue.job AS j
             WHERE way.leaps AND j.queue = :queue::text AND j.state = 'available' AND j.key > ''
               AND j.key > CASE w.lap WHEN 0 THEN '' ELSE w.key END AND j.key <= :last_key::text COLLATE "C"
             ORDER BY j.key, j.priority, j.position
             OFFSET 31
             LIMIT 1)
        ) AS f
        LIMIT 1
    ) AS next
    CROSS JOIN LATERAL (
        SELECT coalesce((e.limits ->> 'weight')::integer, 1) AS weight,
               CASE WHEN next.key <> '' THEN coalesce((e.limits ->> 'concurrency')::integer, g.key_concurrency) END AS most,
               CASE WHEN next.key <> '' THEN coalesce((e.limits #>> '{rate,0}')::integer, g.key_rate) END AS rate,
               coalesce(make_interval(secs => (e.limits #>> '{rate,1}')::float8), g.key_per) AS per
        FROM (SELECT CASE WHEN g.excepted THEN (
                  SELECT k.limits FROM pgqueue.queue_key AS k WHERE k.queue = :queue::text AND k.key = next.key) END
              OFFSET 0) AS e(limits)
        OFFSET 0
    ) AS own
    CROSS JOIN LATERAL (
        SELECT CASE WHEN g.ordered THEN CASE coalesce((
                   SELECT j.state FROM pgqueue.job AS j
                   WHERE j.queue = :queue::text AND j.key = next.key AND j.permit IS NOT NULL
                   ORDER BY j.permit
                   LIMIT 1), 'available') WHEN 'available' THEN 1 ELSE 0 END
               ELSE least(:quantum::integer * own.weight, own.most - r.running) END AS room,
               r.lowest,
               CASE WHEN own.rate IS NOT NULL THEN own.rate - (
                   SELECT coalesce(sum(s.count), 0)::integer FROM pgqueue.start AS s
                   WHERE s.queue = :queue::text AND s.key = next.key AND s.at <= g.instant + interval '1 second'
                     AND s.at >= g.instant - own.per) END AS starts
        FROM (SELECT count(*)::integer AS running, min(j.permit) AS lowest
              FROM pgqueue.job AS j
              WHERE :counting::boolean AND own.most IS NOT NULL AND NOT g.ordered
                AND j.queue = :queue::text AND j.key = next.key AND j.permit IS NOT NULL AND j.state = 'running') AS r
        OFFSET 0
    ) AS free
    CROSS JOIN LATERAL (
        SELECT CASE WHEN least(free.room, free.starts) > 1 THEN (
                   SELECT count(*)::integer FROM (
                       (SELECT FROM pgqueue.job AS j
                        WHERE j.queue = :queue::text AND j.key > '' AND j.key = next.key AND j.state = 'available'
                          AND (j.priority, j.position) >= (next.priority, next.position)
                        LIMIT least(free.room, free.starts))
                       UNION ALL
                       (SELECT FROM pgqueue.job AS j
                        WHERE next.key = '' AND j.queue = :queue::text AND j.key = '' AND j.state = 'available'
                          AND (j.priority, j.position) >= (next.priority, next.position)
                        LIMIT least(free.room, free.starts))) AS found)
               ELSE greatest(0, least(free.room, free.starts)) END AS has
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
), seen AS MATERIALIZED (
    SELECT s.*, g.*, coalesce(s.granted, 0) < g.room AND coalesce(s.n, 0) < :steps::integer AS complete
    FROM gate AS g, (
        SELECT max(n) AS n, max(granted) AS granted, (array_agg(key))[max(n)] AS after,
               coalesce(array_agg(key) FILTER (WHERE mine), '{}') AS keys,
               bool_or(has > 0 AND NOT mine) AS contended, bool_or(key <> '') AS keyed,
               sum(weight) FILTER (WHERE mine) AS weight,
               jsonb_agg(jsonb_build_object(
                   'key', key, 'weight', weight, 'most', most, 'rate', rate, 'per', extract(epoch FROM per),
                   'lowest', lowest, 'priority', priority, 'position', position)) FILTER (WHERE mine) AS terms
        FROM walk
        WHERE n > 0
    ) AS s
)
SELECT keys,
       coalesce(after, :last_key::text),
       open AND room > 0 AND NOT complete,
       NOT open AND NOT paused OR coalesce(contended, false),
       extract(epoch FROM (
           SELECT min(soonest.at + spent.per)
           FROM (SELECT '' AS key, s.rate, s.per WHERE s.room <= 0 AND s.rate IS NOT NULL
                 UNION ALL
                 SELECT w.key, w.rate, w.per FROM walk AS w WHERE w.rated) AS spent
           CROSS JOIN LATERAL (
               SELECT a.at FROM (SELECT s.at, sum(s.count) OVER (ORDER BY s.at DESC) AS since FROM pgqueue.start AS s
                                 WHERE s.queue = :queue::text AND s.key = spent.key COLLATE "C" AND s.at <= instant + interval '1 second'
                                   AND s.at >= instant - spent.per) AS a
               WHERE a.since >= spent.rate ORDER BY a.at DESC LIMIT 1) AS soonest) - instant)::float8,
       CASE WHEN set_config('pgqueue_local.turn', jsonb_build_object(
           'limited', limited, 'ordered', ordered, 'concurrency', concurrency, 'rate', rate, 'per', extract(epoch FROM per),
           'quantum', CASE WHEN complete THEN greatest(:quantum::integer, room / weight) ELSE :quantum::integer END,
           'keys', terms)::text, true) <> '' THEN limited END,
       coalesce(keyed, false)
FROM seen AS s;

WITH whole AS MATERIALIZED (
    SELECT t.*,
           greatest(0, least(:limit::integer,
                 CASE WHEN concurrency IS NOT NULL THEN concurrency - (
                     SELECT count(*)::integer FROM pgqueue.job AS j
                     WHERE j.queue = :queue::text AND j.permit IS NOT NULL AND j.state = 'running') END,
                 CASE WHEN rate IS NOT NULL THEN rate - (
                     SELECT coalesce(sum(s.count), 0)::integer FROM pgqueue.start AS s
                     WHERE s.queue = :queue::text AND s.key = '' AND s.at <= instant + interval '1 second'
                       AND s.at >= instant - make_interval(secs => per)) END)) AS room
    FROM (
        SELECT said.*, coalesce(:now::timestamptz, clock_timestamp()) AS instant
        FROM jsonb_to_record(nullif(current_setting('pgqueue_local.turn', true), '')::jsonb) AS said(
            limited boolean, ordered boolean, concurrency integer, rate integer, per float8, quantum integer, keys jsonb)
        OFFSET 0
    ) AS t
    WHERE jsonb_typeof(keys) = 'array'
), own AS MATERIALIZED (
    SELECT k.key, k.rate, k.per, k.priority, k.position, w.ordered,
           greatest(0, least(
               w.quantum * k.weight,
               CASE WHEN k.most IS NOT NULL AND NOT w.ordered THEN k.most - (
                   SELECT count(*)::integer FROM pgqueue.job AS j
                   WHERE j.queue = :queue::text AND j.key = k.key AND j.permit >= coalesce(k.lowest, 0)
                     AND j.state = 'running') END,
               CASE WHEN k.rate IS NOT NULL THEN k.rate - (
                   SELECT coalesce(sum(s.count), 0)::integer FROM pgqueue.start AS s
                   WHERE s.queue = :queue::text AND s.key = k.key AND s.at <= w.instant + interval '1 second'
                     AND s.at >= w.instant - make_interval(secs => k.per)) END,
               CASE WHEN w.ordered THEN 1 END)) AS room,
           CASE WHEN w.ordered THEN (
-- include: first_in_line
           ) END AS first
    FROM whole AS w
    CROSS JOIN LATERAL jsonb_to_recordset(w.keys) AS k(
        key text, weight integer, most integer, rate integer, per float8, lowest bigint, priority smallint, position bigint)
), chosen AS MATERIALIZED (
    SELECT j.ctid
    FROM own
    CROSS JOIN LATERAL (
        SELECT named.ctid FROM (
            SELECT j.ctid FROM pgqueue.job AS j
            WHERE NOT own.ordered
              AND j.queue = :queue::text AND j.key > '' AND j.key = own.key COLLATE "C" AND j.state = 'available'
              AND (j.priority, j.position) >= (own.priority, own.position)
            ORDER BY j.priority, j.position
            LIMIT own.room
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS named
        UNION ALL
        SELECT nameless.ctid FROM (
            SELECT j.ctid FROM pgqueue.job AS j
            WHERE own.key = '' AND NOT own.ordered
              AND j.queue = :queue::text AND j.key = '' AND j.state = 'available'
              AND (j.priority, j.position) >= (own.priority, own.position)
            ORDER BY j.priority, j.position
            LIMIT own.room
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS nameless
        UNION ALL
        SELECT first.ctid FROM (
            SELECT j.ctid FROM pgqueue.job AS j
            WHERE j.ctid = own.first AND own.room > 0 AND j.state = 'available'
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS first
    ) AS j
    LIMIT (SELECT room FROM whole)
), claimed AS (
    UPDATE pgqueue.job AS j
    SET state = 'running',
        attempt = attempt + 1,
        lease = :lease::bigint,
        worker = :worker::integer,
        claimed_at = w.instant,
        permit = CASE WHEN w.ordered THEN coalesce(j.permit, nextval('pgqueue.permit'))
                      WHEN w.limited THEN nextval('pgqueue.permit') END
    FROM whole AS w
    WHERE j.ctid = ANY (ARRAY(SELECT ctid FROM chosen))
    RETURNING
-- include: claimed
), rated AS MATERIALIZED (
    SELECT '' AS key, w.instant, make_interval(secs => w.per) AS per FROM whole AS w WHERE w.rate IS NOT NULL
    UNION ALL
    SELECT own.key, w.instant, make_interval(secs => own.per) FROM own, whole AS w WHERE own.rate IS NOT NULL
), started AS (
    INSERT INTO pgqueue.start AS s (queue, key, at, count)
    SELECT :queue::text, r.key, r.instant, c.count
    FROM rated AS r
    CROSS JOIN LATERAL (SELECT count(*) FROM claimed AS c WHERE r.key IN ('', c.key)) AS c
    WHERE c.count > 0
    ON CONFLICT (queue, key, at) DO UPDATE SET count = s.count + excluded.count
), forgotten AS (
    DELETE FROM pgqueue.start
    WHERE ctid = ANY (ARRAY(
        SELECT past.ctid
        FROM rated AS r
        CROSS JOIN LATERAL (
            SELECT s.ctid FROM pgqueue.start AS s
            WHERE s.queue = :queue::text AND s.key = r.key COLLATE "C" AND s.at < r.instant - r.per
            OFFSET 0
        ) AS past
    ))
)
SELECT * FROM claimed;
