-- present: how many sessions show this worker's presence: it must be one.
--
-- in:   worker
-- out:  how many are subscribed to the worker's channel
-- uses: lib/store
return {{{call('PUBSUB', 'NUMSUB', channel .. '!' .. text(given.worker))[2]}}}
