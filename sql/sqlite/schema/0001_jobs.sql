-- 0001_jobs: everything the queue needs, in tables that begin with pgqueue_.
--
-- Runs in one transaction: `pgqueue migrate`, `alembic upgrade head`, or by itself in a file that holds
-- nothing else. Touches nothing of the application's. SQLite 3.35 or later.
--
-- Instants are integers, microseconds since 1970: a comparison is exact and an index entry small. The
-- view pgqueue_jobs shows them as people write them.

CREATE TABLE pgqueue_migration (
    version    TEXT PRIMARY KEY,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

-- job: ids, workflows' ids and positions, except those that rows already have, see pgqueue_last; worker: identities;
-- lease: blocks of ten million, one for each worker. A number that was rolled back is given again, unless somebody has
-- seen it: backends/sqlite/numbers.py. origin: the name of this file in stores that copy from it.
CREATE TABLE pgqueue_sequence (
    name  TEXT    PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO pgqueue_sequence (name, value) VALUES ('job', 0), ('lease', 0), ('worker', 0), ('origin', random());

-- Live jobs only. Wide columns last: a row is read from its beginning.
CREATE TABLE pgqueue_job (
    id               INTEGER PRIMARY KEY,
    position         INTEGER NOT NULL,
    lease            INTEGER,
    run_at           INTEGER NOT NULL,
    enqueued_at      INTEGER NOT NULL,
    claimed_at       INTEGER,
    timeout_seconds  REAL,
    workflow         INTEGER,
    worker           INTEGER,
    blocked_by       INTEGER NOT NULL DEFAULT 0,
    priority         INTEGER NOT NULL DEFAULT 0,
    attempt          INTEGER NOT NULL DEFAULT 0,
    max_attempts     INTEGER NOT NULL DEFAULT 10,
    rescues          INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    state            TEXT    NOT NULL,
    queue            TEXT    NOT NULL DEFAULT 'default',
    task             TEXT    NOT NULL,
    unique_key       TEXT,
    reason           TEXT,
    args             TEXT    NOT NULL DEFAULT '{}',
    errors           TEXT,
    progress         TEXT,
    metadata         TEXT,
    tags             TEXT,
    CHECK (state IN ('blocked', 'scheduled', 'available', 'running', 'retryable')),
    CHECK ((state = 'running') = (lease IS NOT NULL)),
    CHECK (blocked_by >= 0 AND (blocked_by > 0) = (state = 'blocked')),
    CHECK (max_attempts >= 1),
    CHECK (timeout_seconds > 0)
);

-- The order of a queue: what claim walks.
CREATE INDEX pgqueue_job_claim ON pgqueue_job (queue, priority, position) WHERE state = 'available';
-- Due jobs, for promote.
CREATE INDEX pgqueue_job_due ON pgqueue_job (run_at) WHERE state IN ('scheduled', 'retryable');
-- For the sweep that looks for stranded jobs.
CREATE INDEX pgqueue_job_blocked ON pgqueue_job (id) WHERE state = 'blocked';
-- For workers, which watch whether one of their jobs is to be cancelled.
CREATE INDEX pgqueue_job_cancelled ON pgqueue_job (worker) WHERE cancel_requested = 1;
CREATE UNIQUE INDEX pgqueue_job_unique ON pgqueue_job (unique_key) WHERE unique_key IS NOT NULL;
CREATE INDEX pgqueue_job_workflow ON pgqueue_job (workflow) WHERE workflow IS NOT NULL;

-- Finished jobs, kept for the time of their state's retention. *cause*: the parent whose end
-- cancelled this job; retrying that one revives this one.
CREATE TABLE pgqueue_archive (
    id              INTEGER PRIMARY KEY,
    lease           INTEGER,
    run_at          INTEGER NOT NULL,
    enqueued_at     INTEGER NOT NULL,
    claimed_at      INTEGER,
    finished_at     INTEGER NOT NULL,
    timeout_seconds REAL,
    workflow        INTEGER,
    cause           INTEGER,
    worker          INTEGER,
    priority        INTEGER NOT NULL,
    attempt         INTEGER NOT NULL,
    max_attempts    INTEGER NOT NULL,
    rescues         INTEGER NOT NULL,
    state           TEXT    NOT NULL,
    queue           TEXT    NOT NULL,
    task            TEXT    NOT NULL,
    unique_key      TEXT,
    reason          TEXT,
    args            TEXT    NOT NULL,
    result          TEXT,
    errors          TEXT,
    progress        TEXT,
    metadata        TEXT,
    tags            TEXT
);
CREATE INDEX pgqueue_archive_finished ON pgqueue_archive (state, finished_at);
CREATE INDEX pgqueue_archive_workflow ON pgqueue_archive (workflow) WHERE workflow IS NOT NULL;

-- The edges. *outcome*: how the parent ended, NULL until then, so an edge is counted once.
CREATE TABLE pgqueue_dependency (
    child_id  INTEGER NOT NULL,
    parent_id INTEGER NOT NULL,
    policy    TEXT    NOT NULL DEFAULT 'cancel',
    outcome   TEXT,
    name      TEXT,
    PRIMARY KEY (child_id, parent_id),
    CHECK (policy IN ('cancel', 'run')),
    CHECK (outcome IN ('completed', 'cancelled', 'discarded')),
    CHECK (child_id <> parent_id)
) WITHOUT ROWID;
CREATE INDEX pgqueue_dependency_parent ON pgqueue_dependency (parent_id, child_id);

-- A graph that has a name.
CREATE TABLE pgqueue_workflow (
    id         INTEGER PRIMARY KEY,
    created_at INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    tags       TEXT
);

-- Only queues with a setting; a queue without a row is open and unlimited.
CREATE TABLE pgqueue_queue (
    name      TEXT PRIMARY KEY,
    paused_at INTEGER
) WITHOUT ROWID;

-- Worker processes. *session*: the process holds a lock on the file named after its id while it lives.
CREATE TABLE pgqueue_worker (
    id           INTEGER PRIMARY KEY,
    running      INTEGER NOT NULL DEFAULT 0,
    pid          INTEGER NOT NULL,
    started_at   INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    suspected_at INTEGER,
    session      INTEGER NOT NULL DEFAULT 0,
    name         TEXT    NOT NULL,
    host         TEXT    NOT NULL,
    queues       TEXT    NOT NULL,
    info         TEXT    NOT NULL DEFAULT '{}'
);

-- Jobs that `pgqueue copy` has brought from another store: their ids there, and here. A job that is not *here* yet has
-- an id already if the outcome of an edge is kept under it.
CREATE TABLE pgqueue_copied (
    source    TEXT    NOT NULL,
    source_id INTEGER NOT NULL,
    id        INTEGER NOT NULL,
    here      INTEGER NOT NULL,
    PRIMARY KEY (source, source_id)
) WITHOUT ROWID;

CREATE TABLE pgqueue_leader (
    name       TEXT    PRIMARY KEY,
    worker     INTEGER NOT NULL,
    elected_at INTEGER NOT NULL,
    until      INTEGER NOT NULL
) WITHOUT ROWID;

-- The last number that was given to a job. To write it here at each enqueue would cost as much as an index: the rows
-- themselves show it, and whoever deletes the last row notes its number first.
CREATE VIEW pgqueue_last AS
SELECT max(value, coalesce((SELECT max(id) FROM pgqueue_job), 0), coalesce((SELECT max(id) FROM pgqueue_archive), 0)) AS number
FROM pgqueue_sequence
WHERE name = 'job';

-- Jobs as people read them. Two views, and one over both: SQLite searches a view of one table by its indexes, but reads
-- a view of two tables whole.
CREATE VIEW pgqueue_live AS
SELECT id, queue, priority, position, state, task, args, attempt, max_attempts, rescues,
       strftime('%Y-%m-%dT%H:%M:%S', run_at / 1000000 - (run_at % 1000000 < 0), 'unixepoch')
           || printf('.%06dZ', (run_at % 1000000 + 1000000) % 1000000) AS run_at,
       strftime('%Y-%m-%dT%H:%M:%S', enqueued_at / 1000000, 'unixepoch') || printf('.%06dZ', enqueued_at % 1000000) AS enqueued_at,
       strftime('%Y-%m-%dT%H:%M:%S', claimed_at / 1000000, 'unixepoch') || printf('.%06dZ', claimed_at % 1000000) AS claimed_at,
       NULL AS finished_at, worker, lease, timeout_seconds, unique_key, blocked_by, cancel_requested, reason,
       NULL AS result, errors, progress, metadata, tags, workflow, NULL AS cause
FROM pgqueue_job;

CREATE VIEW pgqueue_past AS
SELECT id, queue, priority, NULL AS position, state, task, args, attempt, max_attempts, rescues,
       strftime('%Y-%m-%dT%H:%M:%S', run_at / 1000000 - (run_at % 1000000 < 0), 'unixepoch')
           || printf('.%06dZ', (run_at % 1000000 + 1000000) % 1000000) AS run_at,
       strftime('%Y-%m-%dT%H:%M:%S', enqueued_at / 1000000, 'unixepoch') || printf('.%06dZ', enqueued_at % 1000000) AS enqueued_at,
       strftime('%Y-%m-%dT%H:%M:%S', claimed_at / 1000000, 'unixepoch') || printf('.%06dZ', claimed_at % 1000000) AS claimed_at,
       strftime('%Y-%m-%dT%H:%M:%S', finished_at / 1000000, 'unixepoch') || printf('.%06dZ', finished_at % 1000000) AS finished_at,
       worker, lease, timeout_seconds, unique_key, 0 AS blocked_by, 0 AS cancel_requested, reason, result, errors,
       progress, metadata, tags, workflow, cause
FROM pgqueue_archive;

CREATE VIEW pgqueue_jobs AS
SELECT * FROM pgqueue_live UNION ALL SELECT * FROM pgqueue_past;

-- The same for programs: one JSON document a job, beside columns to search by.
CREATE VIEW pgqueue_live_document AS
SELECT id, state, queue, task, tags, workflow,
       json_object(
           'id', id, 'queue', queue, 'priority', priority, 'position', position, 'state', state, 'task', task,
           'args', json(args), 'attempt', attempt, 'max_attempts', max_attempts, 'rescues', rescues,
           'run_at', run_at, 'enqueued_at', enqueued_at, 'claimed_at', claimed_at, 'finished_at', finished_at,
           'worker', worker, 'lease', lease, 'timeout_seconds', timeout_seconds, 'unique_key', unique_key,
           'blocked_by', blocked_by, 'cancel_requested', json(iif(cancel_requested, 'true', 'false')),
           'reason', reason, 'result', json(result), 'errors', json(errors), 'progress', json(progress),
           'metadata', json(metadata), 'tags', json(tags), 'workflow', workflow, 'cause', cause) AS document
FROM pgqueue_live;

CREATE VIEW pgqueue_past_document AS
SELECT id, state, queue, task, tags, workflow,
       json_object(
           'id', id, 'queue', queue, 'priority', priority, 'position', position, 'state', state, 'task', task,
           'args', json(args), 'attempt', attempt, 'max_attempts', max_attempts, 'rescues', rescues,
           'run_at', run_at, 'enqueued_at', enqueued_at, 'claimed_at', claimed_at, 'finished_at', finished_at,
           'worker', worker, 'lease', lease, 'timeout_seconds', timeout_seconds, 'unique_key', unique_key,
           'blocked_by', blocked_by, 'cancel_requested', json(iif(cancel_requested, 'true', 'false')),
           'reason', reason, 'result', json(result), 'errors', json(errors), 'progress', json(progress),
           'metadata', json(metadata), 'tags', json(tags), 'workflow', workflow, 'cause', cause) AS document
FROM pgqueue_past;

INSERT INTO pgqueue_migration (version) VALUES ('0001');
