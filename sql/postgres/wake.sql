-- wake: notifies those who sleep on one of the topics.
--
-- in:   topics JSON array of text: queues' names, '@' for the promoter, '#7' for those who wait for job 7
-- out:  nothing
SELECT count(pgqueue.wake(topic)) FROM jsonb_array_elements_text(:topics::jsonb) AS topic;
