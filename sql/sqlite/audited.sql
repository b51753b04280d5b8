-- audited: what was done, the newest first, a page at a time.
--
-- in:   before integer or null: only entries with a smaller id · target text or null: only entries about this one · limit integer
-- out:  id, at in microseconds since the epoch, who, verb, target, filter, count, answer, reason
-- walks: the primary key from its end, or pgqueue_audit_target
SELECT id, at, who, verb, target, filter, count, answer, reason
FROM pgqueue_audit
WHERE (:before IS NULL OR id < CAST(:before AS INTEGER))
  AND (:target IS NULL OR target = :target)
ORDER BY id DESC
LIMIT CAST(:limit AS INTEGER);
