-- elect: at most one leader; the asking worker stays leader, or becomes leader when there is none.
--
-- in:   name · worker · term_seconds · now
-- out:  worker: who leads now · elected: whether that is the asking worker · workers: how many there are
-- uses: lib/worker
-- full: goes on
-- trap: a candidate that does not win writes nothing. A leader is replaced at once, not at the end of its term, when its
--       session is dead, or when its last heartbeat lies in the future.
local now, workers = clock(given), call('HLEN', root .. 'worker')
local packed = call('HGET', root .. 'leader', given.name)
local leader, elected_at, ends = unpack(packed and cmsgpack.unpack(packed) or {})
if leader and leader ~= given.worker and ends > now then
    local worker = read_worker(leader)
    local ahead = worker and worker[HEARTBEAT_AT] > now + 1000000
    if not ahead and (not (worker and worker[SESSION]) or is_present(leader)) then return {{{leader, false, workers}}} end
end
if leader ~= given.worker then elected_at = now end
ends = now + micro(given.term_seconds)
call('HSET', root .. 'leader', given.name, cmsgpack.pack({given.worker, elected_at, ends}))
return {{{given.worker, true, workers}}}
