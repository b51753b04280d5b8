-- subscribe: from now on, an enqueue for one of these topics notifies this session.
--
-- in:   topics JSON array of text
-- out:  each topic that wakes this session now; a topic is missing while another session holds its lock exclusively
-- trap: session locks: only where the session is ours alone. Look for work once more after this, and only
--       then trust the notification. It tries the locks and never waits for them: an
--       enqueue holds one for an instant, so there is a second and a third try; any role that may connect could hold
--       one as long as it likes.
SELECT topic
FROM jsonb_array_elements_text(:topics::jsonb) AS topic
WHERE CASE
    WHEN pg_try_advisory_lock_shared(int4not(hashtext('pgqueue')), hashtext(topic)) THEN true
    WHEN pg_try_advisory_lock_shared(int4not(hashtext('pgqueue')), hashtext(topic)) THEN true
    ELSE pg_try_advisory_lock_shared(int4not(hashtext('pgqueue')), hashtext(topic))
END;
