-- schedule: writes schedules, each only if nobody has written it since it was read.
--
-- in:   schedules JSON array of rows of pgqueue.schedule; revision: the one that was read, null for a new one; next_at is
--                 used only where *moved* is true. Instants are microseconds since 1970
--       now
-- out:  name of each that was written; a missing one exists already, is gone, or has a newer revision
-- walks: the primary key, in the order of the names
-- trap: the leader writes last_at; it is taken from here only for a new row. A next_at that is not after last_at would fire
--       again: then the leader computes it.
WITH given AS MATERIALIZED (
    SELECT g.*, 'epoch'::timestamptz + g.next_at * interval '1 microsecond' AS next,
           'epoch'::timestamptz + g.last_at * interval '1 microsecond' AS last
    FROM jsonb_to_recordset(:schedules::jsonb) AS g(
        name text, owner text, said text, cron text, every_seconds float8, anchor bigint, zone text, job jsonb, missed text,
        catch_up_seconds float8, overlap text, jitter_seconds float8, starts_at bigint, ends_at bigint, declared jsonb,
        changes jsonb, source text, revision integer, last_at bigint, next_at bigint, moved boolean, paused_at bigint,
        paused_by text, retired_at bigint, problem text)
    ORDER BY g.name
), locked AS MATERIALIZED (
    SELECT given.*
    FROM given
    CROSS JOIN LATERAL (
        SELECT FROM pgqueue.schedule AS s WHERE s.name = given.name AND s.revision = given.revision FOR NO KEY UPDATE
    ) AS known
), changed AS (
    UPDATE pgqueue.schedule AS s
    SET owner = g.owner, said = g.said, cron = g.cron, every_seconds = g.every_seconds,
        anchor = 'epoch'::timestamptz + g.anchor * interval '1 microsecond', zone = g.zone, job = g.job, missed = g.missed,
        catch_up_seconds = g.catch_up_seconds, overlap = g.overlap, jitter_seconds = g.jitter_seconds,
        starts_at = 'epoch'::timestamptz + g.starts_at * interval '1 microsecond',
        ends_at = 'epoch'::timestamptz + g.ends_at * interval '1 microsecond',
        declared = nullif(g.declared, 'null'), changes = g.changes, source = g.source, revision = s.revision + 1,
        next_at = CASE WHEN NOT g.moved THEN s.next_at WHEN g.next <= s.last_at THEN NULL ELSE g.next END,
        paused_at = 'epoch'::timestamptz + g.paused_at * interval '1 microsecond', paused_by = g.paused_by,
        retired_at = 'epoch'::timestamptz + g.retired_at * interval '1 microsecond', problem = g.problem
    FROM locked AS g
    WHERE s.name = ANY (ARRAY[g.name]) AND s.revision = g.revision
    RETURNING s.name, s.next_at
), made AS (
    INSERT INTO pgqueue.schedule AS s (
        name, owner, said, cron, every_seconds, anchor, zone, job, missed, catch_up_seconds, overlap, jitter_seconds,
        starts_at, ends_at, declared, changes, source, last_at, next_at, paused_at, paused_by, retired_at, problem, created_at)
    SELECT g.name, g.owner, g.said, g.cron, g.every_seconds, 'epoch'::timestamptz + g.anchor * interval '1 microsecond',
           g.zone, g.job, g.missed, g.catch_up_seconds, g.overlap, g.jitter_seconds,
           'epoch'::timestamptz + g.starts_at * interval '1 microsecond',
           'epoch'::timestamptz + g.ends_at * interval '1 microsecond',
           nullif(g.declared, 'null'), g.changes, g.source, g.last, CASE WHEN g.next <= g.last THEN NULL ELSE g.next END,
           'epoch'::timestamptz + g.paused_at * interval '1 microsecond', g.paused_by,
           'epoch'::timestamptz + g.retired_at * interval '1 microsecond', g.problem,
           coalesce(:now::timestamptz, clock_timestamp())
    FROM given AS g
    WHERE g.revision IS NULL
    ORDER BY g.name
    ON CONFLICT (name) DO NOTHING
    RETURNING s.name, s.next_at
), written AS (
    SELECT name, next_at FROM changed UNION ALL SELECT name, next_at FROM made
), woken AS (
    SELECT pgqueue.wake('@')::text AS woken
    WHERE EXISTS (SELECT FROM written
                  WHERE next_at IS NULL OR next_at < coalesce(:now::timestamptz, clock_timestamp()) + interval '30 seconds')
)
SELECT name FROM written LEFT JOIN woken ON true;
