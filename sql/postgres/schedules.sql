-- schedules: schedules as they are, by name, a page at a time.
--
-- in:   names  JSON array of text: only these, or null · owner text, source text: only theirs, or null
--       after  text: only names after it, or null · limit integer · now
-- out:  document JSON, null of each; then null, and the clock as text
-- walks: the primary key
SELECT to_jsonb(s)::text, NULL
FROM (
    SELECT s.*
    FROM pgqueue.schedule AS s
    WHERE (:names::jsonb IS NULL OR s.name = ANY (ARRAY(SELECT jsonb_array_elements_text(:names::jsonb))))
      AND (:owner::text IS NULL OR s.owner = :owner::text)
      AND (:source::text IS NULL OR s.source = :source::text)
      AND (:after::text IS NULL OR s.name > :after::text)
    ORDER BY s.name
    LIMIT :limit::integer
) AS s
UNION ALL
SELECT NULL, to_jsonb(coalesce(:now::timestamptz, clock_timestamp())) #>> '{}';
