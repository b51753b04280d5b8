-- limit: sets what a queue allows, as code declares it, or as somebody changes it at run time.
--
-- in:   queue text
--       declared JSON object of all that code declares; or null. A field that is declared anew wins over a change
--       changed  JSON object of the fields to change, null for one that is taken away; or null
--       reset    boolean: forget all changes first
-- out:  limits, as they are from the next claim on: JSON object, or null
-- then: parts/limits
INSERT INTO pgqueue_queue (name) VALUES (:queue) ON CONFLICT DO NOTHING;

UPDATE pgqueue_queue
SET declared = coalesce(:declared, declared),
    changes = (
        SELECT json_group_object(c.key, json(c.document))
        FROM (SELECT key, value, type, CASE type WHEN 'text' THEN json_quote(value) WHEN 'null' THEN 'null'
                                       WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(value AS TEXT) END AS document
              FROM json_each(coalesce(:changed, '{}'))
              UNION ALL
              SELECT e.key, e.value, e.type, CASE e.type WHEN 'text' THEN json_quote(e.value) WHEN 'null' THEN 'null'
                                       WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(e.value AS TEXT) END
              FROM json_each(iif(:reset = 'true', '{}', coalesce(changes, '{}'))) AS e
              WHERE e.key NOT IN (SELECT key FROM json_each(coalesce(:changed, '{}')))) AS c
        WHERE :declared IS NULL
           OR json_extract(coalesce(declared, '{}'), '$.' || c.key) IS json_extract(:declared, '$.' || c.key))
WHERE name = :queue AND (:declared IS NULL OR declared IS NOT :declared);
