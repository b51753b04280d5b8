-- join: a worker process enters, under an identity that never was and never will be again.
--
-- in:   profile JSON text {name, host, pid, queues, started_at, info} · session boolean · now
-- out:  id, and the first lease of a block of ten million; the leader is woken, to look after one more
-- uses: worker, identity
local id = next_worker()
write_worker(id, {given.profile, 0, clock(given), false, given.session})
wake('@')
return {{{id, next_leases()}}}
