-- limit_key: gives one key of a queue limits of its own.
--
-- in:   queue, key
--       limits JSON text of {concurrency, rate, weight}; or nothing: treat it as the others
-- out:  limits of the queue, as limit answers
-- uses: lib/combined_limits
-- full: goes on
local at = root .. 'key_limits:' .. given.queue
if given.limits then
    call('HSET', at, given.key, given.limits)
else
    call('HDEL', at, given.key)
end
call('SADD', root .. 'settings', given.queue)
return {{{settle_limits(given.queue)}}}
