-- turns: which of these queues claim_in_turn must serve, because they have limits; and which have a lowest share.
--
-- in:   queues list
-- out:  name, limited, lowest_share: a fraction of one, or null; no row for a queue that has neither
-- uses: lib/combined_limits
local rows = {}
for _, queue in ipairs(given.queues) do
    local limited, share = call('HEXISTS', root .. 'limits', queue) == 1, meant_of(queue).lowest_share
    if limited or share then rows[#rows + 1] = {queue, limited, share or null} end
end
return {rows}
