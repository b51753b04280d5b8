-- trim: deletes workflows whose jobs are all gone, a portion a call; edges are deleted together with their jobs.
--
-- in:   child, parent, workflow  not used: what is looked at is taken off a list
--       limit  how many workflows to look at
-- out:  child, parent, workflow: null where nothing is left to look at
-- uses: lib/store
local emptied = call('SPOP', root .. 'emptied', given.limit)
for _, workflow in ipairs(emptied) do
    if call('EXISTS', root .. 'members:' .. workflow) == 0 then
        call('HDEL', root .. 'workflow', workflow)
        call('ZREM', root .. 'workflows', workflow)
    end
end
return {{{null, null, #emptied == given.limit and 1 or null}}}
