-- enqueue_once: as enqueue_unique, for keys that hold until a job starts or for a time, and for jobs that replace a waiting one.
--
-- in:   jobs   as for enqueue_unique, with until ('started'), until_seconds, conflict ('replace'), merged: names of
--              arguments that are lists, kept: names of what stays as it is, at_most_seconds after it was enqueued
--       now    as for enqueue
-- out:  ordinal, id, outcome, behind: one row a job. 'created'; 'next': a job that waits for the running job *behind*;
--       its blocked_by counts that job, and the caller must make the edge; for an existing job 'existing', 'replaced', or
--       'too large', then it is unchanged. The second job of a key in one call has no row: ask again
-- walks: pgqueue_job_unique, pgqueue_job_next, the primary key of recent
-- trap: where text goes on as JSON, always ->, which leaves JSON as it stands, and never ->>: a number beyond 2^63 stays
--       what it is.
SELECT max(number, pgqueue_drawn()) + 1 AS ":first" FROM pgqueue_last;

WITH given AS (
    SELECT key AS n, value AS job, value ->> '$.unique_key' AS unique_key, value ->> '$.until_seconds' AS seconds,
           coalesce(value ->> '$.until', '') = 'started' AS started, value ->> '$.run_at' AS at,
           row_number() OVER (PARTITION BY value ->> '$.unique_key', value ->> '$.until_seconds' IS NULL ORDER BY key) AS nth
    FROM json_each(:jobs)
), met AS MATERIALIZED (
    SELECT given.*,
           -- include: due
           AS due,
           CASE WHEN seconds IS NOT NULL THEN (
                    SELECT r.job_id FROM pgqueue_recent AS r WHERE r.key = unique_key AND r.until > :now)
                ELSE (
                    SELECT coalesce(max(iif(started AND j.state <> 'running', j.id, NULL)), min(j.id))
                    FROM pgqueue_job AS j
                    WHERE j.id IN (SELECT f.id FROM pgqueue_job AS f WHERE f.unique_key = given.unique_key
                                   UNION ALL
                                   SELECT f.id FROM pgqueue_job AS f WHERE f.next_key = given.unique_key)) END AS holder
    FROM given
    WHERE nth = 1 OR unique_key IS NULL
), decided AS (
    SELECT met.*, j.unique_key IS NOT NULL AS behind_first,
           CASE WHEN holder IS NULL THEN 'created'
                WHEN seconds IS NOT NULL OR NOT started THEN 'existing'
                WHEN j.state = 'running' THEN 'next'
                WHEN coalesce(job ->> '$.conflict', '') = 'replace' THEN 'replaced'
                ELSE 'existing' END AS outcome,
           json_patch(coalesce(job -> '$.args', '{}'), (
               SELECT json_group_object(m.value, json(
                          CASE WHEN coalesce(json_type(job, '$.args.' || m.value), '') <> 'array' OR job -> ('$.args.' || m.value) = '[]'
                                    THEN j.args -> ('$.' || m.value)
                               WHEN j.args -> ('$.' || m.value) = '[]' THEN job -> ('$.args.' || m.value)
                               ELSE substr(j.args -> ('$.' || m.value), 1, length(j.args -> ('$.' || m.value)) - 1)
                                    || ',' || substr(job -> ('$.args.' || m.value), 2) END))
               FROM json_each(job, '$.merged') AS m
               WHERE json_type(j.args, '$.' || m.value) = 'array')) AS args
    FROM met
    LEFT JOIN pgqueue_job AS j ON j.id = holder AND seconds IS NULL
)
SELECT json_group_array(json_object(
           'n', n, 'holder', holder, 'due', due, 'seconds', seconds, 'behind_first', behind_first, 'args', args || '', 'outcome',
           CASE WHEN outcome = 'replaced' AND job -> '$.merged' IS NOT NULL AND length(CAST(args AS BLOB)) > 1048576
                THEN 'too large' ELSE outcome END)) AS ":decided"
FROM decided;

INSERT INTO pgqueue_recent (key, job_id, until)
SELECT job ->> '$.unique_key', :first + n, :now + CAST(round(seconds * 1000000) AS INTEGER)
FROM (SELECT value ->> '$.n' AS n, value ->> '$.seconds' AS seconds, :jobs -> (value ->> '$.n') AS job
      FROM json_each(:decided)
      WHERE value ->> '$.outcome' = 'created' AND value ->> '$.seconds' IS NOT NULL)
WHERE true
ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, until = excluded.until;

UPDATE pgqueue_job
SET next_key = NULL
WHERE unique_key IS NOT NULL AND next_key IS NOT NULL
  AND id IN (SELECT value ->> '$.holder' FROM json_each(:decided) WHERE value ->> '$.outcome' = 'next');

UPDATE pgqueue_sequence
SET value = max(value, :first + json_array_length(:jobs) - 1)
WHERE name = 'job' AND EXISTS (SELECT 1 FROM json_each(:decided) WHERE value ->> '$.outcome' = 'replaced');

INSERT INTO pgqueue_job (id, position, state, task, args, queue, key, priority, run_at, enqueued_at, max_attempts,
                         timeout_seconds, unique_key, next_key, tags, metadata, workflow, blocked_by, expires_at, keep)
SELECT :first + n, :first + n,
       CASE WHEN outcome = 'next' OR job ->> '$.blocked_by' > 0 THEN 'blocked' WHEN due > :now THEN 'scheduled' ELSE 'available' END,
       job ->> '$.task', coalesce(job -> '$.args', '{}'), coalesce(job ->> '$.queue', 'default'), coalesce(job ->> '$.key', ''),
       coalesce(job ->> '$.priority', 0), due, :now, coalesce(job ->> '$.max_attempts', 10), job ->> '$.timeout_seconds',
       iif(seconds IS NULL AND (outcome = 'created' OR NOT behind_first), job ->> '$.unique_key', NULL),
       iif(seconds IS NULL AND (outcome = 'created' OR behind_first), job ->> '$.unique_key', NULL),
       job -> '$.tags', job -> '$.metadata', job ->> '$.workflow', coalesce(job ->> '$.blocked_by', 0) + (outcome = 'next'),
       coalesce(job ->> '$.expires_at', due + CAST(round((job ->> '$.expires_seconds') * 1000000) AS INTEGER)), job ->> '$.keep'
FROM (SELECT value ->> '$.n' AS n, value ->> '$.seconds' AS seconds, value ->> '$.due' AS due, value ->> '$.outcome' AS outcome,
             value ->> '$.behind_first' AS behind_first, :jobs -> (value ->> '$.n') AS job
      FROM json_each(:decided))
WHERE outcome IN ('created', 'next');

WITH replaced AS MATERIALIZED (
    SELECT holder, n, job, r.args, kept,
           CASE WHEN kept LIKE '%"run_at"%' THEN held.run_at
                ELSE min(due, coalesce(held.enqueued_at + CAST(round((job ->> '$.at_most_seconds') * 1000000) AS INTEGER), due)) END AS due
    FROM (SELECT value ->> '$.holder' AS holder, value ->> '$.n' AS n, value ->> '$.due' AS due, value ->> '$.args' AS args,
                 :jobs -> (value ->> '$.n') AS job, coalesce(:jobs -> (value ->> '$.n') -> '$.kept', '[]') AS kept
          FROM json_each(:decided)
          WHERE value ->> '$.outcome' = 'replaced') AS r
    CROSS JOIN pgqueue_job AS held ON held.id = r.holder
)
UPDATE pgqueue_job
SET state = CASE WHEN blocked_by > 0 THEN 'blocked' WHEN due > :now THEN 'scheduled' ELSE 'available' END,
    position = :first + n, run_at = due, due_at = NULL, attempt = 0, rescues = 0, reason = NULL, progress = NULL, keep = job ->> '$.keep',
    task = iif(kept LIKE '%"args"%', task, job ->> '$.task'),
    args = iif(kept LIKE '%"args"%', pgqueue_job.args, r.args),
    queue = iif(kept LIKE '%"queue"%', queue, coalesce(job ->> '$.queue', 'default')),
    key = iif(kept LIKE '%"key"%', key, coalesce(job ->> '$.key', '')),
    priority = iif(kept LIKE '%"priority"%', priority, coalesce(job ->> '$.priority', 0)),
    max_attempts = iif(kept LIKE '%"max_attempts"%', max_attempts, coalesce(job ->> '$.max_attempts', 10)),
    timeout_seconds = iif(kept LIKE '%"timeout"%', timeout_seconds, job ->> '$.timeout_seconds'),
    tags = iif(kept LIKE '%"tags"%', tags, job -> '$.tags'),
    metadata = iif(kept LIKE '%"metadata"%', metadata, job -> '$.metadata'),
    expires_at = iif(kept LIKE '%"expires"%', expires_at,
                     coalesce(job ->> '$.expires_at', due + CAST(round((job ->> '$.expires_seconds') * 1000000) AS INTEGER))),
    permit = iif((kept LIKE '%"queue"%' OR queue = coalesce(job ->> '$.queue', 'default'))
                 AND (kept LIKE '%"key"%' OR key = coalesce(job ->> '$.key', '')), permit, NULL)
FROM replaced AS r
WHERE pgqueue_job.id = r.holder;

SELECT value ->> '$.n' + 1,
       iif(value ->> '$.outcome' IN ('created', 'next'), :first + (value ->> '$.n'), value ->> '$.holder'),
       value ->> '$.outcome', iif(value ->> '$.outcome' = 'next', value ->> '$.holder', NULL)
FROM json_each(:decided);
