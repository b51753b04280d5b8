-- filter_matches: does the filter match this job? The condition of a WHERE.
--
-- in:   states, queue, task, key, tag, workflow, error, args, older_seconds, newer_seconds, running_seconds, now  as for choose
-- reads: the columns of a job, and *since*: when it ended, or, if it has not, when it was enqueued
:states::jsonb ? state
  AND (:queue::text IS NULL OR queue = :queue::text)
  AND (:task::text IS NULL OR task = :task::text)
  AND (:key::text IS NULL OR key = :key::text)
  AND (:tag::text IS NULL OR :tag::text = ANY (tags))
  AND (:workflow::bigint IS NULL OR workflow = :workflow::bigint)
  AND (:error::text IS NULL OR errors -> -1 ->> 'type' = :error::text)
  AND (:args::jsonb IS NULL OR args @> :args::jsonb)
  AND (:older_seconds::float8 IS NULL
       OR since <= coalesce(:now::timestamptz, clock_timestamp()) - make_interval(secs => :older_seconds::float8))
  AND (:newer_seconds::float8 IS NULL
       OR since > coalesce(:now::timestamptz, clock_timestamp()) - make_interval(secs => :newer_seconds::float8))
  AND (:running_seconds::float8 IS NULL
       OR state = 'running'
      AND claimed_at <= coalesce(:now::timestamptz, clock_timestamp()) - make_interval(secs => :running_seconds::float8))
