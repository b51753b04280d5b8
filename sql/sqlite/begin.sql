-- begin: makes a workflow: a name, and an id that its jobs share.
--
-- in:   name text · tags JSON array · now
-- out:  id
UPDATE pgqueue_sequence SET value = (SELECT max(number, pgqueue_drawn()) FROM pgqueue_last) + 1 WHERE name = 'job' RETURNING value AS ":id";

INSERT INTO pgqueue_workflow (id, name, tags, created_at)
VALUES (:id, :name, nullif(:tags, '[]'), :now)
RETURNING id;
