-- rescue: makes the jobs of dead workers available, or discards them when they keep killing workers.
--
-- in:   patience_seconds  how long a worker's presence lock must have been free
--       silent  JSON {worker: beat} of workers that were silent for too long, with the beat that watch showed;
--               or null: all that have sent no heartbeat for frozen_seconds by the store's clock
--       spared  JSON array or null: the workers that may still come back, as the rescuer knows
--       frozen_seconds
--       max_rescues       integer · keep, now   as for complete
--       present JSON array of the workers whose presence locks are held
-- out:  id, state, worker, task of each job taken from a dead worker; and one row without an id whose
--       state is the number of other workers, as text
-- then: parts/archive, parts/settle
-- trap: a process is dead when the kernel has freed its lock. Only a second sighting counts, because a live
--       worker that reopens its session takes the lock again at once; an instant in the future counts for nothing. The scan
--       for a dead worker's jobs reads the live table once: lease columns have no index, as claims are many and deaths few.
UPDATE pgqueue_worker
SET suspected_at = iif(id IN (SELECT value FROM json_each(:present) UNION ALL SELECT value FROM json_each(:spared)),
                       NULL, :now)
WHERE session AND iif(id IN (SELECT value FROM json_each(:present) UNION ALL SELECT value FROM json_each(:spared)),
                      suspected_at IS NOT NULL, suspected_at IS NULL OR suspected_at > :now);

SELECT json_group_object(id, name) AS ":dead"
FROM pgqueue_worker
WHERE CASE WHEN :silent IS NULL THEN heartbeat_at <= :now - CAST(:frozen_seconds * 1000000 AS INTEGER)
           ELSE json_extract(:silent, '$."' || id || '"') = CAST(heartbeat_at AS TEXT) END
   OR session AND suspected_at <= :now - CAST(:patience_seconds * 1000000 AS INTEGER)
      AND id NOT IN (SELECT value FROM json_each(:present));

DELETE FROM pgqueue_worker WHERE id IN (SELECT CAST(key AS INTEGER) FROM json_each(:dead));

SELECT json_group_array(json_object(
           'id', id, 'worker', worker, 'task', task,
           'error', json_object(
               'attempt', attempt, 'type', 'WorkerLost', 'worker', worker,
               'message', printf('worker %d (%s) died or froze while it ran this job', worker,
                                 json_extract(:dead, '$."' || worker || '"')),
               'at', strftime('%Y-%m-%dT%H:%M:%S', :now / 1000000, 'unixepoch') || printf('.%06dZ', :now % 1000000)),
           'state', CASE WHEN cancel_requested THEN 'cancelled'
                         WHEN rescues >= CAST(:max_rescues AS INTEGER) THEN 'discarded'
                         ELSE 'available' END)) AS ":orphaned"
FROM (SELECT * FROM pgqueue_job
      WHERE :dead <> '{}' AND state = 'running' AND worker IN (SELECT CAST(key AS INTEGER) FROM json_each(:dead))
      ORDER BY id);

UPDATE pgqueue_sequence
SET value = (SELECT number FROM pgqueue_last) + json_array_length(:orphaned)
WHERE name = 'job' AND :orphaned <> '[]'
RETURNING value - json_array_length(:orphaned) + 1 AS ":first";

UPDATE pgqueue_job
SET state = iif(o.value ->> '$.state' = 'available', 'available', state),
    lease = iif(o.value ->> '$.state' = 'available', NULL, lease),
    attempt = iif(o.value ->> '$.state' = 'available', attempt - 1, attempt),
    position = :first + o.key,
    rescues = rescues + 1,
    errors = json_insert(
        CASE WHEN json_array_length(errors) >= 10 THEN json_remove(errors, '$[0]') ELSE coalesce(errors, '[]') END,
        '$[#]', json(o.value -> '$.error'))
FROM json_each(:orphaned) AS o
WHERE pgqueue_job.id = o.value ->> '$.id';

SELECT json_group_array(json_object(
           'id', value ->> '$.id', 'state', value ->> '$.state',
           'reason', iif(value ->> '$.state' = 'discarded',
                         printf('it has killed its worker %d times', CAST(:max_rescues AS INTEGER) + 1), NULL))) AS ":ending"
FROM json_each(:orphaned)
WHERE value ->> '$.state' <> 'available';

SELECT value ->> '$.id', value ->> '$.state', value ->> '$.worker', value ->> '$.task' FROM json_each(:orphaned)
UNION ALL
SELECT NULL, CAST((SELECT count(*) FROM pgqueue_worker) AS TEXT), NULL, NULL;
