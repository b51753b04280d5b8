-- indexes: indexes that claims need and a large table lacks, as migrate does not build them there; and those no longer needed.
--
-- in:   nothing
-- out:  index, there: whether it exists · the statement that helps
SELECT i.name, i.there, i.cure
FROM (
    SELECT w.name, to_regclass(format('pgqueue.%I', w.name)) IS NOT NULL AS there, w.wanted,
           CASE WHEN w.wanted
                THEN format('CREATE INDEX CONCURRENTLY %I ON %s %s', w.name, 'pgqueue.job'::regclass, w.definition)
                ELSE format('DROP INDEX CONCURRENTLY %s', to_regclass(format('pgqueue.%I', w.name))) END AS cure
    FROM (VALUES ('job_plain', true, '(queue, priority, position) WHERE state = ''available'' AND key = '''''),
                 ('job_turn', true, '(queue, key, priority, position) WHERE state = ''available'' AND key > '''''),
                 ('job_permit', true, '(queue, key, permit) WHERE permit IS NOT NULL'),
                 ('job_claim', false, '')) AS w(name, wanted, definition)
) AS i
WHERE i.there <> i.wanted
ORDER BY i.there, i.name;
