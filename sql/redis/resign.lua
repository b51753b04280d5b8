-- resign: the leader steps down; whoever asks next leads.
--
-- in:   name · worker
-- out:  nothing
-- uses: store
local packed = call('HGET', root .. 'leader', given.name)
if packed and cmsgpack.unpack(packed)[1] == given.worker then call('HDEL', root .. 'leader', given.name) end
return {}
