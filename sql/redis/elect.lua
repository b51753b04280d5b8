-- elect: at most one leader; the one who asks stays it, or becomes it when there is none.
--
-- in:   name · worker · term_seconds · now
-- out:  worker: who leads now · elected: true for the one who asks · workers: how many there are
-- uses: worker
-- trap: a candidate that does not win writes nothing. A leader whose session is dead is replaced at once, not at the
--       end of its term.
local now, workers = clock(given), call('HLEN', root .. 'worker')
local packed = call('HGET', root .. 'leader', given.name)
local leader, elected_at, ends = unpack(packed and cmsgpack.unpack(packed) or {})
if leader and leader ~= given.worker and ends > now then
    local worker = read_worker(leader)
    if not (worker and worker[SESSION]) or is_present(leader) then return {{{leader, false, workers}}} end
end
if leader ~= given.worker then elected_at = now end
ends = now + micro(given.term_seconds)
even_if_full()
call('HSET', root .. 'leader', given.name, cmsgpack.pack({given.worker, elected_at, ends}))
return {{{given.worker, true, workers}}}
