-- unsubscribe: this session is awake again, and need not be notified.
--
-- in:   topics list · session that slept
-- out:  nothing
-- uses: lib/store
-- full: goes on
for _, topic in ipairs(given.topics) do call('SREM', root .. 'asleep:' .. topic, given.session) end
return {}
