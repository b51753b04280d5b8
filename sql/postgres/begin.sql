-- begin: makes a workflow: a name, and an id that its jobs share.
--
-- in:   name text · tags JSON array · now
-- out:  id
INSERT INTO pgqueue.workflow (name, tags, created_at)
SELECT :name::text,
       nullif(ARRAY(SELECT jsonb_array_elements_text(:tags::jsonb)), '{}'),
       coalesce(:now::timestamptz, clock_timestamp())
RETURNING id;
