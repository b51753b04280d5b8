-- schedule: writes schedules, each only if nobody has written it since it was read.
--
-- in:   schedules JSON array of rows of pgqueue_schedule; revision: the one that was read, null for a new one; next_at is
--                 used only where *moved* is true. Instants are microseconds since 1970
--       now
-- out:  name of each that was written; a missing one exists already, is gone, or has a newer revision
-- walks: the primary key
-- trap: the leader writes last_at; it is taken from here only for a new row. A next_at that is not after last_at would fire
--       again: then the leader computes it. WHERE true: without it SQLite would take ON for part of a join.
SELECT json_group_array(json(g.value)) AS ":known"
FROM json_each(:schedules) AS g
CROSS JOIN pgqueue_schedule AS s ON s.name = g.value ->> '$.name' AND s.revision = g.value ->> '$.revision';

SELECT json_group_array(json(g.value)) AS ":new"
FROM json_each(:schedules) AS g
WHERE g.value ->> '$.revision' IS NULL
  AND NOT EXISTS (SELECT 1 FROM pgqueue_schedule AS s WHERE s.name = g.value ->> '$.name');

UPDATE pgqueue_schedule AS s
SET owner = g.value ->> '$.owner', said = g.value ->> '$.said', cron = g.value ->> '$.cron',
    every_seconds = g.value ->> '$.every_seconds', anchor = g.value ->> '$.anchor', zone = g.value ->> '$.zone',
    job = g.value -> '$.job', missed = g.value ->> '$.missed', catch_up_seconds = g.value ->> '$.catch_up_seconds',
    overlap = g.value ->> '$.overlap', jitter_seconds = g.value ->> '$.jitter_seconds',
    starts_at = g.value ->> '$.starts_at', ends_at = g.value ->> '$.ends_at',
    declared = nullif(g.value -> '$.declared', 'null'), changes = g.value -> '$.changes', source = g.value ->> '$.source',
    revision = s.revision + 1,
    next_at = CASE WHEN NOT g.value ->> '$.moved' THEN s.next_at
                   WHEN g.value ->> '$.next_at' <= s.last_at THEN NULL
                   ELSE g.value ->> '$.next_at' END,
    paused_at = g.value ->> '$.paused_at', paused_by = g.value ->> '$.paused_by',
    retired_at = g.value ->> '$.retired_at', problem = g.value ->> '$.problem'
FROM json_each(:known) AS g
WHERE s.name = g.value ->> '$.name';

INSERT INTO pgqueue_schedule (
    name, owner, said, cron, every_seconds, anchor, zone, job, missed, catch_up_seconds, overlap, jitter_seconds,
    starts_at, ends_at, declared, changes, source, last_at, next_at, paused_at, paused_by, retired_at, problem, created_at)
SELECT value ->> '$.name', value ->> '$.owner', value ->> '$.said', value ->> '$.cron', value ->> '$.every_seconds',
       value ->> '$.anchor', value ->> '$.zone', value -> '$.job', value ->> '$.missed', value ->> '$.catch_up_seconds',
       value ->> '$.overlap', value ->> '$.jitter_seconds', value ->> '$.starts_at', value ->> '$.ends_at',
       nullif(value -> '$.declared', 'null'), value -> '$.changes', value ->> '$.source', value ->> '$.last_at',
       CASE WHEN value ->> '$.next_at' <= value ->> '$.last_at' THEN NULL ELSE value ->> '$.next_at' END,
       value ->> '$.paused_at', value ->> '$.paused_by', value ->> '$.retired_at', value ->> '$.problem', :now
FROM json_each(:new)
WHERE true
ON CONFLICT (name) DO NOTHING;

SELECT value ->> '$.name' FROM json_each(:known)
UNION
SELECT value ->> '$.name' FROM json_each(:new);
