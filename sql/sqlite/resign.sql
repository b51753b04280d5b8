-- resign: the leader steps down; the next candidate to ask leads.
--
-- in:   name text · worker integer
-- out:  nothing
DELETE FROM pgqueue_leader WHERE name = :name AND worker = CAST(:worker AS INTEGER);
