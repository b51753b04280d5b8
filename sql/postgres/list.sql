-- list: jobs, the newest first, a page at a time.
--
-- in:   state, queue, task, tag  text or null: only these
--       workflow bigint or null · before bigint or null: only ids below it · limit integer
-- out:  one JSON document a job
-- walks: the indexes on id of the live table and of each partition, from their ends
-- trap: planned anew for its values each time. A generic plan does not know which filters are given, so it reads
--       the partitions of all states; nor where *before* is, so it reads all rows above it.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true);

SELECT to_jsonb(j)::text
FROM pgqueue.jobs AS j
WHERE (:state::text IS NULL OR j.state = :state::text)
  AND (:queue::text IS NULL OR j.queue = :queue::text)
  AND (:task::text IS NULL OR j.task = :task::text)
  AND (:tag::text IS NULL OR :tag::text = ANY (j.tags))
  AND (:workflow::bigint IS NULL OR j.workflow = :workflow::bigint)
  AND (:before::bigint IS NULL OR j.id < :before::bigint)
ORDER BY j.id DESC
LIMIT :limit::integer;
