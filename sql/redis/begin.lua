-- begin: makes a workflow: a name, and an id that its jobs share.
--
-- in:   name · tags list · now
--       first  its id, if `prepare` has drawn one for it
-- out:  id
-- uses: lib/store
local id = given.first or call('INCR', root .. 'id')
call('HSET', root .. 'workflow', id, cmsgpack.pack({given.name, given.tags, clock(given)}))
call('ZADD', root .. 'workflows', id, id)
return {{{id}}}
