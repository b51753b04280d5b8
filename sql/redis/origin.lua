-- origin: what this store is called by those who copy from it, whatever its address is today.
--
-- in:   nothing
-- out:  text: a name that no other namespace has
-- uses: store
local time = call('TIME')
local number = time[1] * 1000000 + time[2]
call('SET', root .. 'origin', 'redis ' .. KEYS[1] .. ' ' .. text(number), 'NX')
return {{{call('GET', root .. 'origin')}}}
