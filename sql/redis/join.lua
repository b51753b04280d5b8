-- join: registers a worker process under an identity that the process has drawn itself.
--
-- in:   worker · profile JSON text {name, host, pid, queues, started_at, info} · session boolean · now
-- out:  id, unless another worker has it. Wakes the leader, which now has one more worker to watch
-- uses: lib/worker
-- full: goes on
-- trap: a worker that asks again, because the answer was lost, is the same worker. If a counter was deleted, it would give
--       out ids again: so it is set anew.
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
