-- locked: which of these running jobs somebody else holds at this moment: none, as no script waits for another.
--
-- in:   jobs   list of {id, lease, stays}
-- out:  no rows
-- uses: lib/store
return {{}}
