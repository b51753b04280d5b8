-- 0006_schedules: schedules, and what became of each instant.

-- One row a schedule. *said*: what a person wrote. *declared*: what code declares; *changes*: what people have changed
-- since; the other columns: what holds now. *next_at*: NULL if the leader has to compute it, the year 9999 if it never
-- fires. *last_at*: the watermark; nothing at or before it fires again.
CREATE TABLE pgqueue.schedule (
    name             text        COLLATE "C" PRIMARY KEY,
    owner            text,
    said             text        NOT NULL DEFAULT '',
    cron             text,
    every_seconds    double precision,
    anchor           timestamptz,
    zone             text        NOT NULL DEFAULT 'UTC',
    job              jsonb       NOT NULL,
    missed           text        NOT NULL DEFAULT 'latest',
    catch_up_seconds double precision,
    overlap          text        NOT NULL DEFAULT 'skip',
    jitter_seconds   double precision NOT NULL DEFAULT 0,
    starts_at        timestamptz,
    ends_at          timestamptz,
    declared         jsonb,
    changes          jsonb       NOT NULL DEFAULT '{}',
    source           text        NOT NULL DEFAULT 'api',
    revision         integer     NOT NULL DEFAULT 1,
    last_at          timestamptz,
    next_at          timestamptz,
    paused_at        timestamptz,
    paused_by        text,
    retired_at       timestamptz,
    problem          text,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT schedule_name_is_a_name CHECK (name ~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$' AND length(name) <= 128),
    CONSTRAINT schedule_job CHECK (jsonb_typeof(job) = 'object'),
    CONSTRAINT schedule_declared CHECK (jsonb_typeof(declared) = 'object'),
    CONSTRAINT schedule_changes CHECK (jsonb_typeof(changes) = 'object'),
    CONSTRAINT schedule_missed CHECK (missed IN ('latest', 'all', 'skip')),
    CONSTRAINT schedule_overlap CHECK (overlap IN ('skip', 'next', 'allow', 'replace')),
    CONSTRAINT schedule_source CHECK (source IN ('code', 'api')),
    CONSTRAINT schedule_every CHECK (every_seconds > 0 AND every_seconds <= 36525 * 86400.0),
    CONSTRAINT schedule_catch_up CHECK (catch_up_seconds >= 0 AND catch_up_seconds <= 36525 * 86400.0),
    CONSTRAINT schedule_jitter CHECK (jitter_seconds >= 0 AND jitter_seconds <= 36525 * 86400.0),
    CONSTRAINT schedule_instants CHECK (
        (anchor IS NULL OR anchor > timestamptz '0001-01-02 00:00Z' AND anchor < timestamptz '9999-12-31 00:00Z')
        AND (starts_at IS NULL OR starts_at > timestamptz '0001-01-02 00:00Z' AND starts_at < timestamptz '9999-12-31 00:00Z')
        AND (ends_at IS NULL OR ends_at > timestamptz '0001-01-02 00:00Z' AND ends_at < timestamptz '9999-12-31 00:00Z')
        AND (last_at IS NULL OR last_at > timestamptz '0001-01-02 00:00Z' AND last_at < timestamptz '9999-12-31 00:00Z')
        AND (next_at IS NULL OR next_at > timestamptz '0001-01-02 00:00Z' AND next_at < timestamptz '9999-12-31 00:00Z'))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE pgqueue.schedule IS 'What fires again and again. Written by SQL, leave next_at NULL: the leader computes it.';

-- Due schedules, for promote and due; those whose next_at must be computed come first.
CREATE INDEX schedule_due ON pgqueue.schedule (next_at NULLS FIRST) WHERE paused_at IS NULL AND retired_at IS NULL;

-- One row for each instant that was dealt with; the primary key keeps an instant from firing twice.
CREATE TABLE pgqueue.firing (
    schedule text        COLLATE "C" NOT NULL,
    instant  timestamptz NOT NULL,
    job_id   bigint,
    outcome  text        NOT NULL,
    fired_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (schedule, instant),
    CONSTRAINT firing_outcome CHECK (outcome IN ('fired', 'skipped', 'missed', 'manual', 'backfill'))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE pgqueue.firing IS 'What became of each instant of a schedule, kept for thirty days.';
-- Old rows, for forget.
CREATE INDEX firing_fired ON pgqueue.firing (fired_at);

-- Roles that were granted a part before get the new tables, too: enqueuers and workers write them, readers read them.
DO $grant$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT DISTINCT a.grantee::regrole AS role, false AS writes
        FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'pgqueue.queue'::regclass AND a.privilege_type = 'SELECT' AND a.grantee NOT IN (0, c.relowner)
        UNION
        SELECT DISTINCT a.grantee::regrole, true
        FROM pg_proc AS p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'pgqueue.link(jsonb, jsonb, jsonb, jsonb, timestamptz)'::regprocedure
          AND a.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE format('GRANT SELECT%s ON pgqueue.schedule, pgqueue.firing TO %s',
                       CASE WHEN one.writes THEN ', INSERT, UPDATE, DELETE' ELSE '' END, one.role);
    END LOOP;
END
$grant$;

INSERT INTO pgqueue.migration (version) VALUES ('0006');
