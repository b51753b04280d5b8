-- advance: moves schedules to their next instants; skips one that has changed since it was read, is paused or is retired.
--
-- in:   schedules JSON array of {name, revision, was, last_at, next_at, problem}: *was* is next_at as it was read, *last_at* the
--                 new watermark, null for none. Instants are microseconds since 1970
-- out:  name of each that moved: its job must be written in this transaction
-- walks: the primary key
UPDATE pgqueue_schedule AS s
SET last_at = coalesce(g.value ->> '$.last_at', s.last_at), next_at = g.value ->> '$.next_at', problem = g.value ->> '$.problem'
FROM json_each(:schedules) AS g
WHERE s.name = g.value ->> '$.name' AND s.revision = g.value ->> '$.revision' AND s.next_at IS g.value ->> '$.was'
  AND s.paused_at IS NULL AND s.retired_at IS NULL
  AND (g.value ->> '$.last_at' IS NULL OR s.last_at IS NULL OR s.last_at < g.value ->> '$.last_at')
RETURNING name;
