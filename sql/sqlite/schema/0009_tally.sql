-- 0009_tally: what workers have counted, minute by minute; and who did what to jobs and queues.

-- How jobs ended, as counted by the processes that ran them: one row for each process, queue, task and minute. The
-- leader sums up the rows of all processes, as worker 0, and old minutes by the hour.
CREATE TABLE pgqueue_tally (
    at      INTEGER NOT NULL,
    seconds INTEGER NOT NULL CHECK (seconds IN (60, 3600)),
    worker  INTEGER NOT NULL,
    queue   TEXT    NOT NULL,
    task    TEXT    NOT NULL,
    figures TEXT    NOT NULL,
    PRIMARY KEY (seconds, at, worker, queue, task)
) WITHOUT ROWID;

-- Acts of people, written in the transaction of the act itself.
CREATE TABLE pgqueue_audit (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    who    TEXT    NOT NULL,
    verb   TEXT    NOT NULL,
    target TEXT,
    filter TEXT,
    count  INTEGER,
    answer TEXT,
    reason TEXT
);
CREATE INDEX pgqueue_audit_target ON pgqueue_audit (target, id) WHERE target IS NOT NULL;

INSERT INTO pgqueue_migration (version) VALUES ('0009');
