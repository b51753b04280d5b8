-- audited: what was done, the newest first, a page at a time.
--
-- in:   before integer or null: only what was noted before this one · target text or null: only what was done to this · limit integer
-- out:  id, at in microseconds since the epoch, who, verb, target, filter, count, answer, reason
-- walks: the primary key from its end, or pgqueue_audit_target
SELECT id, at, who, verb, target, filter, count, answer, reason
FROM pgqueue_audit
WHERE (:before IS NULL OR id < CAST(:before AS INTEGER))
  AND (:target IS NULL OR target = :target)
ORDER BY id DESC
LIMIT CAST(:limit AS INTEGER);
