-- proceed: goes on with a large graph: tells children that have not been told yet that a parent ended.
--
-- in:   now
-- out:  nothing
-- uses: lib/settle
-- full: goes on
is_settled(given)
return {}
