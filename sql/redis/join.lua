-- join: a worker process registers, under an identity that it has drawn itself.
--
-- in:   worker · profile JSON text {name, host, pid, queues, started_at, info} · session boolean · now
-- out:  id, unless another worker has it; the leader is woken, to look after one more
-- uses: lib/worker
-- full: goes on
-- trap: who asks again, as the answer was lost, is the same worker. A counter that was deleted would give numbers again.
local known = read_worker(given.worker)
if known and known[PROFILE] ~= given.profile then return {{}} end
local newest = 0
for _, key in ipairs({'live', 'completed', 'cancelled', 'discarded', 'workflows'}) do
    local last = call('ZREVRANGE', root .. key, 0, 0)[1]
    newest = math.max(newest, tonumber(last or 0))
end
write_worker(given.worker, {given.profile, 0, clock(given), false, given.session})
if newest > tonumber(call('GET', root .. 'id') or 0) then call('SET', root .. 'id', text(newest)) end
wake('@')
return {{{given.worker}}}
