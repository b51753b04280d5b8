-- recall: the jobs of a claim whose answer never came, because the connection broke.
--
-- in:   worker · lease   the claim's
-- out:  as claim
-- uses: lib/claimed
local ids = numbers(call('ZRANGEBYSCORE', root .. 'running:' .. text(given.worker), given.lease, given.lease))
return {claimed(ids, read(ids), clock(given))}
