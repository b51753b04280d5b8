-- schedules: schedules as they are, by name, a page at a time.
--
-- in:   names  JSON array of text: only these, or null · owner text, source text: only theirs, or null
--       after  text: only names after it, or null · limit integer · now
-- out:  document JSON, null of each; then null, and the clock as text
-- walks: the primary key
SELECT document, NULL
FROM (
    SELECT document
    FROM pgqueue_schedule_document
    WHERE (:names IS NULL OR name IN (SELECT value FROM json_each(:names)))
      AND (:owner IS NULL OR owner = :owner)
      AND (:source IS NULL OR source = :source)
      AND (:after IS NULL OR name > :after)
    ORDER BY name
    LIMIT CAST(:limit AS INTEGER)
)
UNION ALL
SELECT NULL, strftime('%Y-%m-%dT%H:%M:%S', :now / 1000000, 'unixepoch') || printf('.%06dZ', :now % 1000000);
