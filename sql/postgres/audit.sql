-- audit: notes what somebody did, in the transaction that does it.
--
-- in:   who, verb text · target, filter, answer, reason text or null · count bigint or null · now
-- out:  nothing
INSERT INTO pgqueue.audit (at, who, verb, target, filter, count, answer, reason)
VALUES (coalesce(:now::timestamptz, clock_timestamp()), :who::text, :verb::text, :target::text, :filter::text, :count::bigint,
        :answer::text, :reason::text);
