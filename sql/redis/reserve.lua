-- reserve: another block of ten million leases, when one is used up or its connection was lost.
--
-- in:   nothing
-- out:  the first lease of the block
-- uses: identity
return {{{next_leases()}}}
