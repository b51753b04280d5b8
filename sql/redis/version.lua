-- version: always the same: Redis has no tables to make, and none to migrate.
--
-- in:   nothing
-- out:  version
-- uses: lib/store
return {{{'0001'}}}
