-- proceed: goes on with what a large graph left over: children that have still to be told.
--
-- in:   now
-- out:  nothing
-- uses: settle
is_settled(given)
return {}
