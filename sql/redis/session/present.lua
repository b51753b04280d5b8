-- present: how many sessions are this worker's life: one, or something is wrong.
--
-- in:   worker
-- out:  how many are subscribed to the worker's channel
-- uses: lib/store
return {{{call('PUBSUB', 'NUMSUB', channel .. '!' .. text(given.worker))[2]}}}
