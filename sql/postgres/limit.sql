-- limit: sets what a queue allows, as code declares it, or as somebody changes it at run time.
--
-- in:   queue text
--       declared JSON object of all that code declares; or null. A field that is declared anew wins over a change
--       changed  JSON object of the fields to change, null for one that is taken away; or null
--       reset    boolean: forget all changes first
-- out:  limits, as they are from the next claim on: JSON object, or null
-- then: parts/limits
INSERT INTO pgqueue.queue (name) VALUES (:queue::text) ON CONFLICT DO NOTHING;

UPDATE pgqueue.queue AS q
SET declared = coalesce(:declared::jsonb, q.declared),
    changes = (
        SELECT jsonb_object_agg(c.key, c.value)
        FROM jsonb_each(CASE WHEN :reset::boolean THEN '{}' ELSE coalesce(q.changes, '{}') END
                        || coalesce(:changed::jsonb, '{}')) AS c
        WHERE :declared::jsonb IS NULL OR (q.declared -> c.key) IS NOT DISTINCT FROM (:declared::jsonb -> c.key))
WHERE q.name = :queue::text
  AND (:declared::jsonb IS NULL OR q.declared IS DISTINCT FROM :declared::jsonb);
