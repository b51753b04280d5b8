-- 0009_tally: what workers have counted, minute by minute; and who did what to jobs and queues.

-- How jobs ended, as counted by the processes that ran them: one row for each process, queue, task and minute. The
-- leader sums up the rows of all processes, as worker 0, and old minutes by the hour. Rows are written once, and read
-- by ranges of time.
CREATE TABLE pgqueue.tally (
    at      timestamptz NOT NULL,
    seconds integer     NOT NULL,
    worker  integer     NOT NULL,
    queue   text        NOT NULL,
    task    text        NOT NULL,
    figures jsonb       NOT NULL,
    PRIMARY KEY (seconds, at, worker, queue, task),
    CONSTRAINT tally_seconds CHECK (seconds IN (60, 3600))
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE pgqueue.tally IS 'What workers have counted: for charts, not for accounts. A killed process loses its last minute.';

-- Acts of people: from a dashboard, the command line, Python. Written in the transaction of the act itself.
CREATE TABLE pgqueue.audit (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    who    text        NOT NULL,
    verb   text        NOT NULL,
    target text,
    filter text,
    count  bigint,
    answer text,
    reason text
);
COMMENT ON TABLE pgqueue.audit IS 'Who did what to which jobs, queues and schedules, and with what answer.';
CREATE INDEX audit_target ON pgqueue.audit (target, id) WHERE target IS NOT NULL;

-- Roles that were granted a part before get its present rights.
DO $grant$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT DISTINCT a.grantee::regrole AS role
        FROM pg_proc AS p CROSS JOIN aclexplode(p.proacl) AS a
        WHERE p.oid = 'pgqueue.drop_partition(regclass)'::regprocedure AND a.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON pgqueue.tally TO %s', one.role);
        EXECUTE format('GRANT SELECT, INSERT, DELETE ON pgqueue.audit TO %s', one.role);
    END LOOP;
END
$grant$;

INSERT INTO pgqueue.migration (version) VALUES ('0009');
