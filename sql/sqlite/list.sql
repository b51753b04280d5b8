-- list: jobs, the newest first, a page at a time.
--
-- in:   state, queue, task, tag  text or null: only these
--       workflow integer or null · before integer or null: only ids below it · limit integer
-- out:  one JSON document a job
-- walks: both primary keys from their ends, merged
SELECT document
FROM (
    SELECT id, document
    FROM pgqueue_live_document
    WHERE (:state IS NULL OR state = :state)
      AND (:queue IS NULL OR queue = :queue)
      AND (:task IS NULL OR task = :task)
      AND (:tag IS NULL OR EXISTS (SELECT 1 FROM json_each(tags) AS t WHERE t.value = :tag))
      AND (:workflow IS NULL OR workflow = CAST(:workflow AS INTEGER))
      AND id < coalesce(CAST(:before AS INTEGER), 9007199254740993)
    UNION ALL
    SELECT id, document
    FROM pgqueue_past_document
    WHERE (:state IS NULL OR state = :state)
      AND (:queue IS NULL OR queue = :queue)
      AND (:task IS NULL OR task = :task)
      AND (:tag IS NULL OR EXISTS (SELECT 1 FROM json_each(tags) AS t WHERE t.value = :tag))
      AND (:workflow IS NULL OR workflow = CAST(:workflow AS INTEGER))
      AND id < coalesce(CAST(:before AS INTEGER), 9007199254740993)
    ORDER BY id DESC
    LIMIT CAST(:limit AS INTEGER)
);
