-- retry: lets waiting jobs run now, and finished ones become available again, with one attempt more if they had none left;
-- their descendants that were cancelled because of them come back too.
--
-- in:   ids    JSON array of job ids
--       workflow integer or null: also all of its jobs that were discarded or cancelled
--       keep, now   as for complete
-- out:  id, state of each that was asked for: 'available', or 'blocked' (it waits for parents), 'running', 'held'
--       (its unique key now belongs to another job); a missing one never existed, or is past its retention
-- then: retry, parts/archive, parts/settle
-- trap: a job that comes back waits for those of its parents that have not finished. A descendant with another
--       failed parent stays cancelled, now because of that parent; a job that was asked for itself comes
--       back anyway. A unique key that was taken meanwhile must not fail the others: the job that lost it stays finished,
--       and so do its descendants. Where several jobs have one key, the first takes it; if that one stays cancelled, the
--       next one takes it when this runs again.
SELECT json_group_array(id) AS ":asked"
FROM (SELECT value AS id FROM json_each(:ids)
      UNION
      SELECT id FROM pgqueue_archive WHERE workflow = CAST(:workflow AS INTEGER) AND state IN ('cancelled', 'discarded'));

WITH RECURSIVE again(id) AS (
    SELECT known.value
    FROM (SELECT value FROM json_each(:asked) UNION SELECT value FROM json_each(:known)) AS known
    WHERE NOT EXISTS (
        SELECT 1 FROM pgqueue_archive AS a
        CROSS JOIN pgqueue_job AS j ON j.unique_key = a.unique_key OR j.next_key = a.unique_key
        WHERE a.id = known.value)
    UNION
    SELECT a.id
    FROM again
    CROSS JOIN pgqueue_dependency AS d ON d.parent_id = again.id
    CROSS JOIN pgqueue_archive AS a ON a.id = d.child_id AND a.cause = again.id
    WHERE NOT EXISTS (SELECT 1 FROM pgqueue_job AS j WHERE j.unique_key = a.unique_key OR j.next_key = a.unique_key)
)
SELECT json_group_array(id) AS ":reviving" FROM (
    SELECT a.id FROM again CROSS JOIN pgqueue_archive AS a ON a.id = again.id ORDER BY a.id);

WITH RECURSIVE candidate AS MATERIALIZED (
    SELECT a.id, a.id IN (SELECT value FROM json_each(:asked)) AS asked,
           a.unique_key IS NOT NULL
           AND row_number() OVER (
               PARTITION BY a.unique_key ORDER BY a.id NOT IN (SELECT value FROM json_each(:asked)), a.id) > 1 AS held
    FROM json_each(:reviving) AS r CROSS JOIN pgqueue_archive AS a ON a.id = r.value
), edge AS MATERIALIZED (
    SELECT d.child_id, d.parent_id, d.outcome
    FROM candidate CROSS JOIN pgqueue_dependency AS d ON d.child_id = candidate.id
    WHERE NOT candidate.asked AND d.policy = 'cancel'
), hopeless(id, cause, outcome) AS (
    SELECT e.child_id, e.parent_id, e.outcome
    FROM edge AS e
    WHERE e.outcome <> 'completed'
      AND NOT EXISTS (SELECT 1 FROM pgqueue_job AS p WHERE p.id = e.parent_id)
      AND e.parent_id NOT IN (SELECT id FROM candidate WHERE NOT held)
    UNION
    SELECT e.child_id, e.parent_id, 'cancelled'
    FROM hopeless JOIN edge AS e ON e.parent_id = hopeless.id AND e.outcome <> 'completed'
)
SELECT (SELECT json_group_array(id)
        FROM (SELECT id FROM candidate WHERE NOT held AND id NOT IN (SELECT id FROM hopeless) ORDER BY id)) AS ":revived",
       (SELECT json_group_array(json_array(id, cause, outcome))
        FROM (SELECT id, min(cause) AS cause, outcome FROM hopeless GROUP BY id)) AS ":hopeless";

INSERT INTO pgqueue_job (id, position, run_at, enqueued_at, timeout_seconds, workflow, blocked_by, priority, attempt,
                         max_attempts, state, queue, key, task, unique_key, next_key, args, errors, progress, metadata, tags)
SELECT a.id, 0, :now, a.enqueued_at, a.timeout_seconds, a.workflow, 1, a.priority, a.attempt,
       max(a.max_attempts, a.attempt + 1), 'blocked', a.queue, a.key, a.task, a.unique_key, a.unique_key, a.args, a.errors, a.progress,
       a.metadata, a.tags
FROM json_each(:revived) AS r CROSS JOIN pgqueue_archive AS a ON a.id = r.value;

DELETE FROM pgqueue_archive WHERE id IN (SELECT value FROM json_each(:revived));

UPDATE pgqueue_archive
SET cause = h.value ->> 1, reason = printf('parent %d was %s', h.value ->> 1, h.value ->> 2)
FROM json_each(:hopeless) AS h
WHERE pgqueue_archive.id = h.value ->> 0 AND cause IN (SELECT value FROM json_each(:revived));

UPDATE pgqueue_dependency
SET outcome = NULL
WHERE child_id IN (SELECT value FROM json_each(:revived))
  AND outcome IS NOT NULL
  AND EXISTS (SELECT 1 FROM pgqueue_job AS p WHERE p.id = parent_id);

SELECT json_group_array(json_array(
           id,
           (SELECT count(*) FROM pgqueue_dependency AS d WHERE d.child_id = id AND d.outcome IS NULL),
           (SELECT min(d.parent_id) FROM pgqueue_dependency AS d
            WHERE d.child_id = id AND d.policy = 'cancel' AND d.outcome <> 'completed'
              AND id NOT IN (SELECT value FROM json_each(:asked))))) AS ":counted"
FROM (SELECT value AS id FROM json_each(:revived)
      UNION ALL
      SELECT j.id FROM json_each(:asked) AS g CROSS JOIN pgqueue_job AS j ON j.id = g.value
      WHERE j.state IN ('scheduled', 'retryable')
      ORDER BY id);

UPDATE pgqueue_sequence
SET value = (SELECT number FROM pgqueue_last) + json_array_length(:counted)
WHERE name = 'job'
RETURNING value - json_array_length(:counted) + 1 AS ":first";

UPDATE pgqueue_job
SET blocked_by = c.value ->> 1,
    state = iif(c.value ->> 1 > 0, 'blocked', 'available'),
    run_at = :now,
    position = :first + c.key
FROM json_each(:counted) AS c
WHERE pgqueue_job.id = c.value ->> 0 AND c.value ->> 2 IS NULL;

SELECT json_group_array(json_object('id', value ->> 0, 'state', 'cancelled', 'cause', value ->> 2,
                                    'reason', printf('parent %d had failed', value ->> 2))) AS ":ending"
FROM json_each(:counted)
WHERE value ->> 2 IS NOT NULL;

SELECT json_group_array(value) AS ":known"
FROM (SELECT value FROM json_each(:known) UNION ALL SELECT value FROM json_each(:revived));

SELECT :revived <> '[]' AS ":again";

SELECT j.id, j.state FROM json_each(:asked) AS g CROSS JOIN pgqueue_job AS j ON j.id = g.value
UNION ALL
SELECT a.id, 'held' FROM json_each(:asked) AS g CROSS JOIN pgqueue_archive AS a ON a.id = g.value;
