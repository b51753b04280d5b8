-- wake: notifies those who sleep on one of the topics.
--
-- in:   topics list: queues' names, '@' for the promoter, '#7' for those who wait for job 7, '!7' for
--              worker 7, which need not sleep
-- out:  nothing
-- uses: lib/store
for _, topic in ipairs(given.topics) do
    if topic:sub(1, 1) == '!' then call('PUBLISH', channel .. topic, topic) else wake(topic) end
end
return {}
