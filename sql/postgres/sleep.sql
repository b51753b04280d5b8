-- sleep: whoever enqueues for one of these topics notifies from now on.
--
-- in:   topics JSON array of text
-- out:  nothing
-- trap: session locks: only where the session is ours alone. Look for work once more after this, and
--       then trust the notification.
SELECT count(pg_advisory_lock_shared(int4not(hashtext('pgqueue')), hashtext(topic)))
FROM jsonb_array_elements_text(:topics::jsonb) AS topic;
