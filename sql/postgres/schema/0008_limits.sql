-- 0008_limits: queues have limits, which hold for the whole cluster; and jobs with keys are served key by key, in turn.

-- What a queue allows (limits), what code last said (declared), and what was changed since by hand (changes): JSON objects
-- of {concurrency, rate: [n, seconds], key_concurrency, key_rate, ordered}. No limits: NULL.
ALTER TABLE pgqueue.queue
    ADD COLUMN limits   jsonb,
    ADD COLUMN declared jsonb,
    ADD COLUMN changes  jsonb;

-- Keys that are not treated as the others of their queue: {concurrency, rate, weight}.
CREATE TABLE pgqueue.queue_key (
    queue  text NOT NULL,
    key    text COLLATE "C" NOT NULL,
    limits jsonb NOT NULL,
    PRIMARY KEY (queue, key)
);

-- How many attempts began at which instant, in queues and keys that have a rate: those of the last period. Key '' is the
-- queue as a whole.
CREATE TABLE pgqueue.start (
    queue text        NOT NULL,
    key   text COLLATE "C" NOT NULL,
    at    timestamptz NOT NULL,
    count integer     NOT NULL,
    PRIMARY KEY (queue, key, at)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

-- A job that was claimed in a queue with limits has a number, which ascends within its key. What is counted against a limit
-- are the rows that have one and run; so whatever ends an attempt frees its place. NULL costs other jobs nothing.
CREATE SEQUENCE pgqueue.permit AS bigint;
ALTER TABLE pgqueue.job ADD COLUMN permit bigint;

-- The order of a queue is now that of each of its keys. Jobs without a key have an index of their own, which does not have
-- it: with the key in it, a job without one cost the server a tenth more to enqueue. The two take the place of job_claim,
-- which workers of the version before still need while they run: so where there are any, that one stays for now, and
-- `pgqueue doctor` says when it may go. A large table is not read here while nobody may write: until somebody makes the
-- indexes, claims use the one that is there.
DO $index$
BEGIN
    IF pg_relation_size('pgqueue.job') >= 64 * 1024 * 1024 THEN
        RAISE NOTICE 'pgqueue: when it suits: CREATE INDEX CONCURRENTLY job_plain ON pgqueue.job (queue, priority, position) WHERE state = ''available'' AND key = ''''';
        RAISE NOTICE 'pgqueue: when it suits: CREATE INDEX CONCURRENTLY job_turn ON pgqueue.job (queue, key, priority, position) WHERE state = ''available'' AND key > ''''';
        RAISE NOTICE 'pgqueue: when it suits: CREATE INDEX CONCURRENTLY job_permit ON pgqueue.job (queue, key, permit) WHERE permit IS NOT NULL';
        RETURN;
    END IF;
    CREATE INDEX job_plain ON pgqueue.job (queue, priority, position) WHERE state = 'available' AND key = '';
    CREATE INDEX job_turn ON pgqueue.job (queue, key, priority, position) WHERE state = 'available' AND key > '';
    CREATE INDEX job_permit ON pgqueue.job (queue, key, permit) WHERE permit IS NOT NULL;
    IF NOT EXISTS (SELECT FROM pgqueue.worker) THEN
        DROP INDEX pgqueue.job_claim;
    END IF;
END
$index$;

-- Roles that were granted a worker's part before do as workers do now.
DO $grant$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT DISTINCT a.grantee::regrole AS role
        FROM pg_proc AS p CROSS JOIN aclexplode(p.proacl) AS a
        WHERE p.oid = 'pgqueue.drop_partition(regclass)'::regprocedure AND a.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON pgqueue.queue_key, pgqueue.start TO %s', one.role);
        EXECUTE format('GRANT USAGE ON SEQUENCE pgqueue.permit TO %s', one.role);
    END LOOP;
END
$grant$;

INSERT INTO pgqueue.migration (version) VALUES ('0008');
