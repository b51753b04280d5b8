-- version: the schema there is: there are no tables to make, and none to migrate.
--
-- in:   nothing
-- out:  version
-- uses: lib/store
return {{{'0001'}}}
