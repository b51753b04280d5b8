-- filter_matches: does the filter match this job? The condition of a WHERE.
--
-- in:   states, queue, task, key, tag, workflow, error, args, older_seconds, newer_seconds, running_seconds, now  as for choose
-- reads: from l the columns of a job, and *since*: when it ended, or, if it has not, when it was enqueued
state IN (SELECT value FROM json_each(:states))
  AND (:queue IS NULL OR queue = :queue)
  AND (:task IS NULL OR task = :task)
  AND (:key IS NULL OR key = :key)
  AND (:tag IS NULL OR EXISTS (SELECT 1 FROM json_each(l.tags) AS t WHERE t.value = :tag))
  AND (:workflow IS NULL OR workflow = CAST(:workflow AS INTEGER))
  AND (:error IS NULL OR errors ->> '$[#-1].type' = :error)
  AND NOT EXISTS (
      SELECT 1 FROM json_tree(:args) AS w
      WHERE w.type <> 'object'
        AND NOT coalesce(
            CASE WHEN w.type IN ('integer', 'real')
                 THEN json_type(l.args, w.fullkey) IN ('integer', 'real') AND json_extract(l.args, w.fullkey) = w.value
                 ELSE json_type(l.args, w.fullkey) = w.type AND json_extract(l.args, w.fullkey) IS w.value END, 0))
  AND (:older_seconds IS NULL OR since <= :now - CAST(round(:older_seconds * 1000000) AS INTEGER))
  AND (:newer_seconds IS NULL OR since > :now - CAST(round(:newer_seconds * 1000000) AS INTEGER))
  AND (:running_seconds IS NULL
       OR state = 'running' AND claimed_at <= :now - CAST(round(:running_seconds * 1000000) AS INTEGER))
