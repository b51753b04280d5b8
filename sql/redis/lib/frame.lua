-- frame: what stands around a verb: what it is given comes in, its answer goes out.
--
-- in:   ARGV[1] what the verb is given · ARGV[3] anything: the caller does not read the answer
-- out:  more: an earlier graph, or this one, has left something over: `proceed`; the rows of each statement, none when
--       that had to come first, and the verb be asked again; and with what to ask it again for the rest
local function verb(given)
    --[[ its file ]]
end
local answers, rest = verb(cmsgpack.unpack(ARGV[1]))
if ARGV[3] then return redis.status_reply('OK') end
return cmsgpack.pack({call('EXISTS', root .. 'settling') == 1, answers or null, rest or null})
