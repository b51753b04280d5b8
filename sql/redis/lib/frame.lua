-- frame: the code around a verb: reads what the verb is given, and sends its answer.
--
-- in:   ARGV[1] what the verb is given · ARGV[3] anything: the caller does not read the answer
-- out:  more: an earlier graph, or this one, has left something over: call `proceed`; the rows of each statement, none when
--       that had to come first, and the verb must be called again; and what to call it with again for the rest
local function verb(given)
    --[[ its file ]]
end
local answers, rest = verb(cmsgpack.unpack(ARGV[1]))
if ARGV[3] then return redis.status_reply('OK') end
return cmsgpack.pack({call('EXISTS', root .. 'settling') == 1, answers or null, rest or null})
