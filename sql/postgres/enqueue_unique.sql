-- enqueue_unique: as enqueue, when some of the jobs have a unique key; a key that an unfinished job holds
-- answers with that job.
--
-- in:   jobs   as for enqueue, with unique_key
--       notify, now   as for enqueue
-- out:  ordinal, id of each job that was created; then unique_key, id of each key's holder. A key in
--       neither was held by a job that finished in this very moment: ask again
-- trap: the second enqueuer of a key waits for the first one's transaction; inserted in the order of
--       their keys, two calls cannot wait for each other. The holder is read by a second statement,
--       because the snapshot of the first does not show what it waited for.
WITH given AS MATERIALIZED (
    SELECT g.*, t.arrived, nextval('pgqueue.job_id') AS id, nextval('pgqueue.position') AS position,
           coalesce(g.run_at, t.arrived + make_interval(secs => coalesce(g.delay_seconds, 0))) AS due
    FROM (SELECT coalesce(:now::timestamptz, clock_timestamp()) AS arrived OFFSET 0) AS t,
         ROWS FROM (jsonb_to_recordset(:jobs::jsonb) AS (
             task text, args jsonb, queue text, priority smallint, run_at timestamptz, delay_seconds float8,
             max_attempts smallint, timeout_seconds float8, unique_key text, tags text[], metadata jsonb,
             workflow bigint, blocked_by integer)) WITH ORDINALITY AS g
), inserted AS (
    INSERT INTO pgqueue.job (id, position, state, task, args, queue, priority, run_at, enqueued_at,
                             max_attempts, timeout_seconds, unique_key, tags, metadata, workflow, blocked_by)
    SELECT id, position,
           CASE WHEN blocked_by > 0 THEN 'blocked' WHEN due > arrived THEN 'scheduled' ELSE 'available' END,
           task, coalesce(args, '{}'), coalesce(queue, 'default'), coalesce(priority, 0), due, arrived,
           coalesce(max_attempts, 10), timeout_seconds, unique_key, tags, metadata, workflow,
           coalesce(blocked_by, 0)
    FROM given
    ORDER BY unique_key, id
    ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL DO NOTHING
    RETURNING id, queue, state, run_at, enqueued_at
), woken AS (
    SELECT count(pgqueue.wake(topic))
    FROM (SELECT DISTINCT CASE WHEN state = 'available' THEN queue ELSE '@' END
          FROM inserted
          WHERE state = 'available'
             OR (state = 'scheduled' AND run_at < enqueued_at + interval '30 seconds')) AS topics(topic)
    WHERE :notify::boolean
)
SELECT given.ordinality, inserted.id FROM inserted JOIN given USING (id), woken;

SELECT unique_key, id
FROM pgqueue.job
WHERE unique_key = ANY (ARRAY(SELECT g ->> 'unique_key' FROM jsonb_array_elements(:jobs::jsonb) AS g));
