-- proceed: goes on with what a large graph left over: children that do not know yet that a parent ended.
--
-- in:   now
-- out:  nothing
-- uses: lib/settle
-- full: goes on
is_settled(given)
return {}
