-- progress: saves what running jobs report about themselves, for people and for their next attempt.
--
-- in:   jobs   JSON array of {id, lease, progress}, in id order; progress {fraction, note, checkpoint}
-- out:  id, lease, kept of those whose lease still holds; kept is always true, as a writer holds the whole file
-- trap: sets key by key: json_patch would merge a checkpoint into the one before it, and drop its nulls.
UPDATE pgqueue_job
SET progress = (
    SELECT json_group_object(key, json(document -> ('$."' || key || '"')))
    FROM (
        SELECT old.key, pgqueue_job.progress AS document
        FROM json_each(coalesce(pgqueue_job.progress, '{}')) AS old
        WHERE json_type(g.value, '$.progress."' || old.key || '"') IS NULL
        UNION ALL
        SELECT new.key, g.value -> '$.progress' FROM json_each(g.value, '$.progress') AS new
    ))
FROM json_each(:jobs) AS g
WHERE pgqueue_job.id = g.value ->> '$.id' AND lease = g.value ->> '$.lease'
RETURNING pgqueue_job.id, lease, true;
