-- sleep: whoever enqueues for one of these topics notifies from now on.
--
-- in:   topics list · session who sleeps · seconds unless it is said again, so long
-- out:  nothing
-- uses: store
-- trap: a sleeper that died costs notifications that nobody hears, until its time has run out. Subscribe
--       first; look for work once more after this, and then trust the notification.
even_if_full()
for _, topic in ipairs(given.topics) do
    local at = root .. 'asleep:' .. topic
    call('SADD', at, given.session)
    call('PEXPIRE', at, given.seconds * 1000)
end
return {}
