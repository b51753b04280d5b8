-- restore: brings jobs of another store with their state and edges; each once, however often it is called.
--
-- in:   source    text: the other store's store_id
--       jobs      JSON array of {id, state, task, queue, …, edges: [{parent, policy, outcome, name}]}, available ones in
--                 the order in which they are to be claimed; ids, cause and workflow are the source's ids,
--                 instants microseconds since 1970
--       workflows JSON array of {id, name, tags, created_at} of these jobs
--       keep, now as for complete
-- out:  id there, id here of each job that this call brought
-- then: parts/settle, parts/archive
-- trap: a parent whose edge is not decided must be here already: an edge from a job that is missing would look stranded
--       to the sweep. Such a parent may have finished here meanwhile. For a unique key that is held here the
--       holder counts, as in enqueue; the children wait for that one.
SELECT json_group_array(id) AS ":named"
FROM (SELECT value ->> '$.id' AS id FROM json_each(:workflows)
      EXCEPT
      SELECT source_id FROM pgqueue_copied WHERE source = :source || ' workflow'
      ORDER BY id);

SELECT json_group_array(id) AS ":unknown"
FROM (SELECT value ->> '$.id' AS id FROM json_each(:jobs)
      UNION
      SELECT e.value ->> '$.parent' FROM json_each(:jobs) AS j, json_each(j.value, '$.edges') AS e
      WHERE e.value ->> '$.outcome' IS NOT NULL
      EXCEPT
      SELECT c.source_id FROM json_each(:jobs) AS j CROSS JOIN pgqueue_copied AS c
      WHERE c.source = :source AND c.source_id = j.value ->> '$.id'
      EXCEPT
      SELECT c.source_id FROM json_each(:jobs) AS j, json_each(j.value, '$.edges') AS e CROSS JOIN pgqueue_copied AS c
      WHERE c.source = :source AND c.source_id = e.value ->> '$.parent'
      ORDER BY id);

UPDATE pgqueue_sequence
SET value = (SELECT number FROM pgqueue_last)
            + json_array_length(:named) + json_array_length(:unknown) + json_array_length(:jobs)
WHERE name = 'job'
RETURNING value - json_array_length(:jobs) + 1 AS ":place",
          value - json_array_length(:jobs) - json_array_length(:unknown) + 1 AS ":first",
          value - json_array_length(:jobs) - json_array_length(:unknown) - json_array_length(:named) + 1 AS ":flow";

INSERT INTO pgqueue_copied (source, source_id, id, here)
SELECT :source || ' workflow', value, :flow + key, 1 FROM json_each(:named)
UNION ALL
SELECT :source, value, :first + key, 0 FROM json_each(:unknown);

INSERT INTO pgqueue_workflow (id, created_at, name, tags)
SELECT :flow + n.key, w.value ->> '$.created_at', w.value ->> '$.name', w.value -> '$.tags'
FROM json_each(:named) AS n
JOIN json_each(:workflows) AS w ON w.value ->> '$.id' = n.value;

SELECT json_group_array(c.id) AS ":bringing"
FROM json_each(:jobs) AS j
CROSS JOIN pgqueue_copied AS c ON c.source = :source AND c.source_id = j.value ->> '$.id'
WHERE NOT c.here;

UPDATE pgqueue_copied
SET here = 1
WHERE source = :source AND source_id IN (SELECT value ->> '$.id' FROM json_each(:jobs));

SELECT json_group_array(j.value ->> '$.id') AS ":following"
FROM json_each(:jobs) AS j
WHERE j.value ->> '$.unique_key' IS NOT NULL AND j.value ->> '$.finished_at' IS NULL
  AND EXISTS (
      SELECT 1 FROM json_each(j.value, '$.edges') AS e
      WHERE e.value ->> '$.outcome' IS NULL
        AND (EXISTS (SELECT 1 FROM json_each(:jobs) AS o
                     WHERE o.value ->> '$.id' = e.value ->> '$.parent' AND o.value ->> '$.unique_key' = j.value ->> '$.unique_key')
             OR EXISTS (SELECT 1 FROM pgqueue_copied AS c CROSS JOIN pgqueue_job AS p ON p.id = c.id
                        WHERE c.source = :source AND c.source_id = e.value ->> '$.parent'
                          AND p.unique_key = j.value ->> '$.unique_key')));

UPDATE pgqueue_job
SET next_key = NULL
WHERE unique_key = next_key
  AND unique_key IN (SELECT j.value ->> '$.unique_key'
                     FROM json_each(:jobs) AS j CROSS JOIN json_each(:following) AS f ON f.value = j.value ->> '$.id'
                     CROSS JOIN pgqueue_copied AS c ON c.source = :source AND c.source_id = j.value ->> '$.id'
                     WHERE c.id IN (SELECT value FROM json_each(:bringing)));

UPDATE pgqueue_sequence
SET value = value + json_array_length(:jobs)
WHERE name = 'permit'
RETURNING value - json_array_length(:jobs) + 1 AS ":permit";

INSERT INTO pgqueue_job (id, position, run_at, enqueued_at, timeout_seconds, workflow, blocked_by, priority, attempt,
                         max_attempts, rescues, state, queue, key, task, unique_key, next_key, args, errors, progress, metadata, tags,
                         expires_at, keep, due_at, permit)
SELECT c.id, :place + j.key, job ->> '$.run_at', job ->> '$.enqueued_at', job ->> '$.timeout_seconds',
       (SELECT w.id FROM pgqueue_copied AS w
        WHERE w.source = :source || ' workflow' AND w.source_id = job ->> '$.workflow'),
       job ->> '$.state' = 'blocked', job ->> '$.priority', job ->> '$.attempt', job ->> '$.max_attempts',
       job ->> '$.rescues', job ->> '$.state', job ->> '$.queue', coalesce(job ->> '$.key', ''),
       job ->> '$.task', iif(job ->> '$.id' IN (SELECT value FROM json_each(:following)), NULL, job ->> '$.unique_key'),
       iif(job ->> '$.id' IN (SELECT value FROM json_each(:following))
           OR job ->> '$.unique_key' NOT IN (
               SELECT o.value ->> '$.unique_key'
               FROM json_each(:following) AS f CROSS JOIN json_each(:jobs) AS o ON o.value ->> '$.id' = f.value),
           job ->> '$.unique_key', NULL),
       job -> '$.args', nullif(job -> '$.errors', 'null'), nullif(job -> '$.progress', 'null'),
       nullif(job -> '$.metadata', 'null'), nullif(job -> '$.tags', 'null'), job ->> '$.expires_at', job ->> '$.keep',
       nullif(job ->> '$.due_at', job ->> '$.run_at'), iif(job ->> '$.begun', :permit + j.key, NULL)
FROM (SELECT key, value AS job FROM json_each(:jobs)) AS j
CROSS JOIN pgqueue_copied AS c ON c.source = :source AND c.source_id = job ->> '$.id'
WHERE c.id IN (SELECT value FROM json_each(:bringing)) AND job ->> '$.finished_at' IS NULL
ON CONFLICT DO NOTHING;

SELECT json_group_array(json_array(c.source_id, holder.id)) AS ":held"
FROM (SELECT value AS job FROM json_each(:jobs)) AS j
CROSS JOIN pgqueue_copied AS c ON c.source = :source AND c.source_id = job ->> '$.id'
CROSS JOIN pgqueue_job AS holder ON holder.unique_key = job ->> '$.unique_key' OR holder.next_key = job ->> '$.unique_key'
WHERE c.id IN (SELECT value FROM json_each(:bringing)) AND job ->> '$.finished_at' IS NULL
  AND NOT EXISTS (SELECT 1 FROM pgqueue_job AS own WHERE own.id = c.id);

UPDATE pgqueue_copied
SET id = h.value ->> 1
FROM json_each(:held) AS h
WHERE source = :source AND source_id = h.value ->> 0;

INSERT INTO pgqueue_archive (id, run_at, enqueued_at, claimed_at, finished_at, timeout_seconds, workflow, cause, priority,
                             attempt, max_attempts, rescues, state, queue, key, task, unique_key, reason, args, result,
                             errors, progress, metadata, tags)
SELECT c.id, job ->> '$.run_at', job ->> '$.enqueued_at', job ->> '$.claimed_at', job ->> '$.finished_at',
       job ->> '$.timeout_seconds',
       (SELECT w.id FROM pgqueue_copied AS w
        WHERE w.source = :source || ' workflow' AND w.source_id = job ->> '$.workflow'),
       cause.id, job ->> '$.priority', job ->> '$.attempt', job ->> '$.max_attempts', job ->> '$.rescues',
       job ->> '$.state', job ->> '$.queue', coalesce(job ->> '$.key', ''), job ->> '$.task', job ->> '$.unique_key',
       CASE WHEN cause.id IS NULL THEN job ->> '$.reason'
            ELSE replace(job ->> '$.reason', 'parent ' || cause.source_id || ' ', 'parent ' || cause.id || ' ') END,
       job -> '$.args', nullif(job -> '$.result', 'null'), nullif(job -> '$.errors', 'null'),
       nullif(job -> '$.progress', 'null'), nullif(job -> '$.metadata', 'null'), nullif(job -> '$.tags', 'null')
FROM (SELECT value AS job FROM json_each(:jobs)) AS j
CROSS JOIN pgqueue_copied AS c ON c.source = :source AND c.source_id = job ->> '$.id'
LEFT JOIN pgqueue_copied AS cause ON cause.source = :source AND cause.source_id = job ->> '$.cause'
WHERE c.id IN (SELECT value FROM json_each(:bringing)) AND job ->> '$.finished_at' IS NOT NULL;

INSERT OR IGNORE INTO pgqueue_dependency (child_id, parent_id, policy, outcome, name)
SELECT c.id, p.id, e.value ->> '$.policy', e.value ->> '$.outcome', e.value ->> '$.name'
FROM json_each(:jobs) AS j
CROSS JOIN pgqueue_copied AS c ON c.source = :source AND c.source_id = j.value ->> '$.id'
CROSS JOIN json_each(j.value, '$.edges') AS e
CROSS JOIN pgqueue_copied AS p ON p.source = :source AND p.source_id = e.value ->> '$.parent'
WHERE c.id IN (SELECT value FROM json_each(:bringing));

UPDATE pgqueue_job
SET blocked_by = (SELECT count(*) FROM pgqueue_dependency AS d WHERE d.child_id = pgqueue_job.id AND d.outcome IS NULL)
WHERE state = 'blocked' AND id IN (SELECT value FROM json_each(:bringing));

SELECT json_group_object(p.id, coalesce(a.state, 'completed')) AS ":finished"
FROM (SELECT DISTINCT d.parent_id AS id
      FROM json_each(:bringing) AS b CROSS JOIN pgqueue_dependency AS d ON d.child_id = b.value
      WHERE d.outcome IS NULL) AS p
LEFT JOIN pgqueue_archive AS a ON a.id = p.id
WHERE NOT EXISTS (SELECT 1 FROM pgqueue_job AS j WHERE j.id = p.id);

SELECT c.source_id, c.id
FROM json_each(:jobs) AS j
CROSS JOIN pgqueue_copied AS c ON c.source = :source AND c.source_id = j.value ->> '$.id'
WHERE c.id IN (SELECT value FROM json_each(:bringing));
