-- resign: the leader steps down; the next candidate to ask leads.
--
-- in:   name · worker
-- out:  nothing
-- uses: lib/store
-- full: goes on
local packed = call('HGET', root .. 'leader', given.name)
if packed and cmsgpack.unpack(packed)[1] == given.worker then call('HDEL', root .. 'leader', given.name) end
return {}
