-- busy: which of these running jobs somebody else holds at this moment: none, as no script waits for another.
--
-- in:   jobs   list of {id, lease}
-- out:  no rows
-- uses: store
return {{}}
