-- 0008_limits: queues have limits, which hold for all workers together; jobs with keys are served key by key, in turn.

-- *limits*: what a queue allows now. *declared*: what code declared last. *changes*: what people have changed since.
-- JSON objects of {concurrency, rate: [n, seconds], key_concurrency, key_rate, ordered}; NULL: no limits.
ALTER TABLE pgqueue.queue
    ADD COLUMN limits   jsonb,
    ADD COLUMN declared jsonb,
    ADD COLUMN changes  jsonb;

-- Keys with limits of their own: {concurrency, rate, weight}.
CREATE TABLE pgqueue.queue_key (
    queue  text NOT NULL,
    key    text COLLATE "C" NOT NULL,
    limits jsonb NOT NULL,
    PRIMARY KEY (queue, key)
);

-- How many attempts began at which instant, in queues and keys that have a rate, within its last period. Key '' is the
-- queue as a whole.
CREATE TABLE pgqueue.start (
    queue text        NOT NULL,
    key   text COLLATE "C" NOT NULL,
    at    timestamptz NOT NULL,
    count integer     NOT NULL,
    PRIMARY KEY (queue, key, at)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

-- *permit*: a number that a job gets when it is claimed in a queue with limits; it ascends within a key. Running jobs
-- that have one count against the limit, so the end of an attempt frees its place, however it ends. Other jobs have
-- NULL, which costs nothing.
CREATE SEQUENCE pgqueue.permit AS bigint;
ALTER TABLE pgqueue.job ADD COLUMN permit bigint;

-- The order of a queue is now kept key by key. Jobs without a key have an index of their own, without that column: with
-- it, enqueueing such a job cost the server a tenth more. Both indexes replace job_claim, which workers of the version
-- before need while they run: if there are any, it stays for now, and `pgqueue doctor` says when to drop it. On a large
-- table the indexes are not built here, as nobody could write meanwhile: until somebody builds them, claims use the
-- index that is there.
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

-- Roles that were granted a worker's part before get a worker's present rights.
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
