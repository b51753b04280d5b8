-- resign: the leader steps down; whoever asks next leads.
--
-- in:   name text · worker integer
-- out:  nothing
DELETE FROM pgqueue.leader WHERE name = :name::text AND worker = :worker::integer;
