-- subscribe: from now on, an enqueue for one of these topics notifies this session.
--
-- in:   topics list · session that sleeps · seconds the subscription lasts unless it is renewed
-- out:  nothing
-- uses: lib/store
-- full: goes on
-- trap: if a sleeper dies, notifications go to nobody until its time has run out. Subscribe
--       first; look for work once more after this, and only then trust the notification.
for _, topic in ipairs(given.topics) do
    local at = root .. 'asleep:' .. topic
    call('SADD', at, given.session)
    call('PEXPIRE', at, given.seconds * 1000)
end
return {}
