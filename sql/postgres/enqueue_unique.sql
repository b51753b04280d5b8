-- enqueue_unique: as enqueue, when some of the jobs have a unique key; for a key that an unfinished job holds
-- it answers with that job.
--
-- in:   jobs   as for enqueue, with unique_key
--       notify, now   as for enqueue
-- out:  ordinal, id of each job that was created; then unique_key, id of each key's holders, the first one last. A key that is
--       in neither was held by a job that finished in this very moment: ask again
-- trap: the second enqueuer of a key waits for the first one's transaction; jobs are inserted in the order of
--       their keys, so that two calls cannot wait for each other. A second statement reads the holder,
--       because the snapshot of the first does not show what it waited for. A function with its owner's rights:
--       it gives out the ids in the order of the jobs, and an enqueuer must not be able to choose ids.
SELECT ordinal, new_id
FROM pgqueue.enqueue_unique(:jobs::jsonb, :notify::boolean, coalesce(:now::timestamptz, clock_timestamp()));

SELECT unique_key, id
FROM pgqueue.job
WHERE unique_key = ANY (ARRAY(SELECT g ->> 'unique_key' FROM jsonb_array_elements(:jobs::jsonb) AS g))
UNION ALL
SELECT next_key, id
FROM pgqueue.job
WHERE next_key = ANY (ARRAY(SELECT g ->> 'unique_key' FROM jsonb_array_elements(:jobs::jsonb) AS g))
ORDER BY id DESC;
