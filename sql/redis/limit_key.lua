-- limit_key: one key of a queue is treated in another way than its others.
--
-- in:   queue, key
--       limits JSON text of {concurrency, rate, weight}; or nothing: it is as the others are
-- out:  limits of the queue, as limit says it
-- uses: lib/meant
-- full: goes on
local at = root .. 'key_limits:' .. given.queue
if given.limits then
    call('HSET', at, given.key, given.limits)
else
    call('HDEL', at, given.key)
end
call('SADD', root .. 'settings', given.queue)
return {{{settle_limits(given.queue)}}}
