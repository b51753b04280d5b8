-- 0011_audit: people who act add to the audit, and can neither read nor change it; the leader deletes old entries.

CREATE INDEX audit_at ON pgqueue.audit (at);

-- With its owner's rights, as workers have no right to delete from the audit. It deletes nothing that is younger than a
-- week. No index serves a comparison with clock_timestamp(), which changes while the statement runs.
CREATE FUNCTION pgqueue.forget_audit(before timestamptz, most integer) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $forget$
    WITH old AS MATERIALIZED (
        SELECT a.id FROM pgqueue.audit AS a
        WHERE a.at < before AND a.at < statement_timestamp() - interval '7 days'
        ORDER BY a.at
        LIMIT most
    ), gone AS (
        DELETE FROM pgqueue.audit AS a USING old WHERE a.id = ANY (ARRAY[old.id]) RETURNING a.id
    )
    SELECT count(*) FROM gone
$forget$;

REVOKE ALL ON FUNCTION pgqueue.forget_audit FROM PUBLIC;

-- Roles that were granted a part before get its present rights. A worker keeps the right to read the audit: it cannot
-- be told from a reader's.
DO $grant$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT DISTINCT a.grantee::regrole AS role
        FROM pg_proc AS p CROSS JOIN aclexplode(p.proacl) AS a
        WHERE p.oid = 'pgqueue.drop_partition(regclass)'::regprocedure AND a.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE format('REVOKE DELETE ON pgqueue.audit FROM %s', one.role);
        EXECUTE format('GRANT EXECUTE ON FUNCTION pgqueue.forget_audit(timestamptz, integer) TO %s', one.role);
    END LOOP;
END
$grant$;

INSERT INTO pgqueue.migration (version) VALUES ('0011');
