-- resign: the leader steps down; the next candidate to ask leads.
--
-- in:   name text · worker integer
-- out:  nothing
DELETE FROM pgqueue.leader WHERE name = :name::text AND worker = :worker::integer;
