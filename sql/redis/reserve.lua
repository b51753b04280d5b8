-- reserve: another block of ten million leases, when one is used up or its connection was lost.
--
-- in:   nothing
-- out:  the first lease of the block
-- uses: store
return {{{call('INCRBY', root .. 'lease', 10000000)}}}
