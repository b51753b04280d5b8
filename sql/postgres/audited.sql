-- audited: what was done, the newest first, a page at a time.
--
-- in:   before bigint or null: only entries with a smaller id · target text or null: only entries about this one · limit integer
-- out:  id, at in microseconds since the epoch, who, verb, target, filter, count, answer, reason
-- walks: the primary key from its end, or audit_target
SELECT a.id, (extract(epoch FROM a.at) * 1000000)::bigint, a.who, a.verb, a.target, a.filter, a.count, a.answer, a.reason
FROM pgqueue.audit AS a
WHERE (:before::bigint IS NULL OR a.id < :before::bigint)
  AND (:target::text IS NULL OR a.target = :target::text)
ORDER BY a.id DESC
LIMIT :limit::integer;
