-- wake: notifies those who sleep on one of the topics.
--
-- in:   topics list: queues' names, '@' for the promoter, '#7' for those who wait for job 7
-- out:  nothing
-- uses: store
for _, topic in ipairs(given.topics) do wake(topic) end
return {}
