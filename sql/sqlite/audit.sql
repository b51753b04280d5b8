-- audit: notes what somebody did, in the transaction that does it.
--
-- in:   who, verb text · target, filter, answer, reason text or null · count integer or null · now
-- out:  nothing
INSERT INTO pgqueue_audit (at, who, verb, target, filter, count, answer, reason)
VALUES (:now, :who, :verb, :target, :filter, CAST(:count AS INTEGER), :answer, :reason);
