-- 0006_schedules: schedules, and what became of each instant.

-- One row a schedule. *said*: what a person wrote. *declared*: what code declares; *changes*: what people have changed
-- since; the other columns: what holds now. *next_at*: NULL if the leader has to compute it, the year 9999 if it never
-- fires. *last_at*: the watermark; nothing at or before it fires again.
CREATE TABLE pgqueue_schedule (
    name             TEXT    PRIMARY KEY,
    owner            TEXT,
    said             TEXT    NOT NULL DEFAULT '',
    cron             TEXT,
    every_seconds    REAL,
    anchor           INTEGER,
    zone             TEXT    NOT NULL DEFAULT 'UTC',
    job              TEXT    NOT NULL,
    missed           TEXT    NOT NULL DEFAULT 'latest',
    catch_up_seconds REAL,
    overlap          TEXT    NOT NULL DEFAULT 'skip',
    jitter_seconds   REAL    NOT NULL DEFAULT 0,
    starts_at        INTEGER,
    ends_at          INTEGER,
    declared         TEXT,
    changes          TEXT    NOT NULL DEFAULT '{}',
    source           TEXT    NOT NULL DEFAULT 'api',
    revision         INTEGER NOT NULL DEFAULT 1,
    last_at          INTEGER,
    next_at          INTEGER,
    paused_at        INTEGER,
    paused_by        TEXT,
    retired_at       INTEGER,
    problem          TEXT,
    created_at       INTEGER NOT NULL DEFAULT (CAST(strftime('%s', 'now') AS INTEGER) * 1000000),
    CHECK (length(name) BETWEEN 1 AND 128),
    CHECK (json_type(job) = 'object'),
    CHECK (json_type(declared) = 'object'),
    CHECK (json_type(changes) = 'object'),
    CHECK (missed IN ('latest', 'all', 'skip')),
    CHECK (overlap IN ('skip', 'next', 'allow', 'replace')),
    CHECK (source IN ('code', 'api'))
) WITHOUT ROWID;

-- Due schedules, for promote and due; those whose next_at must be computed come first.
CREATE INDEX pgqueue_schedule_due ON pgqueue_schedule (next_at) WHERE paused_at IS NULL AND retired_at IS NULL;

-- One row for each instant that was dealt with; the primary key keeps an instant from firing twice.
CREATE TABLE pgqueue_firing (
    schedule TEXT    NOT NULL,
    instant  INTEGER NOT NULL,
    job_id   INTEGER,
    outcome  TEXT    NOT NULL,
    fired_at INTEGER NOT NULL,
    PRIMARY KEY (schedule, instant),
    CHECK (outcome IN ('fired', 'skipped', 'missed', 'manual', 'backfill'))
) WITHOUT ROWID;
-- Old rows, for forget.
CREATE INDEX pgqueue_firing_fired ON pgqueue_firing (fired_at);

-- A schedule for programs: a JSON document, beside columns to search by.
CREATE VIEW pgqueue_schedule_document AS
SELECT name, owner, source, next_at, paused_at, retired_at,
       json_object(
           'name', name, 'owner', owner, 'said', said, 'cron', cron, 'every_seconds', every_seconds, 'zone', zone,
           'job', json(job), 'missed', missed, 'catch_up_seconds', catch_up_seconds, 'overlap', overlap,
           'jitter_seconds', jitter_seconds, 'declared', json(declared), 'changes', json(changes), 'source', source,
           'revision', revision, 'paused_by', paused_by, 'problem', problem,
           'anchor', strftime('%Y-%m-%dT%H:%M:%S', anchor / 1000000 - (anchor % 1000000 < 0), 'unixepoch')
               || printf('.%06dZ', (anchor % 1000000 + 1000000) % 1000000),
           'starts_at', strftime('%Y-%m-%dT%H:%M:%S', starts_at / 1000000 - (starts_at % 1000000 < 0), 'unixepoch')
               || printf('.%06dZ', (starts_at % 1000000 + 1000000) % 1000000),
           'ends_at', strftime('%Y-%m-%dT%H:%M:%S', ends_at / 1000000 - (ends_at % 1000000 < 0), 'unixepoch')
               || printf('.%06dZ', (ends_at % 1000000 + 1000000) % 1000000),
           'last_at', strftime('%Y-%m-%dT%H:%M:%S', last_at / 1000000 - (last_at % 1000000 < 0), 'unixepoch')
               || printf('.%06dZ', (last_at % 1000000 + 1000000) % 1000000),
           'next_at', strftime('%Y-%m-%dT%H:%M:%S', next_at / 1000000 - (next_at % 1000000 < 0), 'unixepoch')
               || printf('.%06dZ', (next_at % 1000000 + 1000000) % 1000000),
           'paused_at', strftime('%Y-%m-%dT%H:%M:%S', paused_at / 1000000 - (paused_at % 1000000 < 0), 'unixepoch')
               || printf('.%06dZ', (paused_at % 1000000 + 1000000) % 1000000),
           'retired_at', strftime('%Y-%m-%dT%H:%M:%S', retired_at / 1000000 - (retired_at % 1000000 < 0), 'unixepoch')
               || printf('.%06dZ', (retired_at % 1000000 + 1000000) % 1000000),
           'created_at', strftime('%Y-%m-%dT%H:%M:%S', created_at / 1000000 - (created_at % 1000000 < 0), 'unixepoch')
               || printf('.%06dZ', (created_at % 1000000 + 1000000) % 1000000)) AS document
FROM pgqueue_schedule;

INSERT INTO pgqueue_migration (version) VALUES ('0006');
