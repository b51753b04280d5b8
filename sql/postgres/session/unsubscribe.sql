-- unsubscribe: this session is awake again, and need not be notified.
--
-- in:   topics JSON array of text, as given to subscribe
-- out:  nothing
SELECT count(pg_advisory_unlock_shared(int4not(hashtext('pgqueue')), hashtext(topic)))
FROM jsonb_array_elements_text(:topics::jsonb) AS topic;
