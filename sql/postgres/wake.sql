-- wake: notifies those who sleep on one of the topics.
--
-- in:   topics JSON array of text: queues' names, '@' for the promoter, '#7' for those who wait for job 7, '!7' for
--              worker 7, which need not sleep
-- out:  nothing
SELECT count(CASE WHEN topic LIKE '!%' THEN pg_notify('pgqueue', topic) ELSE pgqueue.wake(topic) END)
FROM jsonb_array_elements_text(:topics::jsonb) AS topic;
