-- advance: moves schedules to their next instants; skips one that has changed since it was read, is paused or is retired.
--
-- in:   schedules JSON array of {name, revision, was, last_at, next_at, problem}: *was* is next_at as it was read, *last_at* the
--                 new watermark, null for none. Instants are microseconds since 1970
-- out:  name of each that moved: its job must be written in this transaction
-- walks: the primary key, in the order of the names
-- trap: skips rows that somebody has locked: an application that writes one schedule must not delay the others.
WITH given AS MATERIALIZED (
    SELECT g.name, g.revision, g.problem, 'epoch'::timestamptz + g.was * interval '1 microsecond' AS was,
           'epoch'::timestamptz + g.last_at * interval '1 microsecond' AS last_at,
           'epoch'::timestamptz + g.next_at * interval '1 microsecond' AS next_at
    FROM jsonb_to_recordset(:schedules::jsonb) AS g(
        name text, revision integer, was bigint, last_at bigint, next_at bigint, problem text)
    ORDER BY g.name
), locked AS MATERIALIZED (
    SELECT given.*
    FROM given
    CROSS JOIN LATERAL (
        SELECT
        FROM pgqueue.schedule AS s
        WHERE s.name = given.name AND s.revision = given.revision AND s.next_at IS NOT DISTINCT FROM given.was
          AND s.paused_at IS NULL AND s.retired_at IS NULL
          AND (given.last_at IS NULL OR s.last_at IS NULL OR s.last_at < given.last_at)
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS known
)
UPDATE pgqueue.schedule AS s
SET last_at = coalesce(g.last_at, s.last_at), next_at = g.next_at, problem = g.problem
FROM locked AS g
WHERE s.name = ANY (ARRAY[g.name])
RETURNING s.name;
