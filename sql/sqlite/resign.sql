-- resign: the leader steps down; whoever asks next leads.
--
-- in:   name text · worker integer
-- out:  nothing
DELETE FROM pgqueue_leader WHERE name = :name AND worker = CAST(:worker AS INTEGER);
