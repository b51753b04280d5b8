-- sequences: sequences that will give out numbers that rows already have.
--
-- in:   nothing
-- out:  sequence, its last number, the last number in the rows, the statement that helps
-- walks: the ends of the indexes on ids, and all of pgqueue.job for places
SELECT sequence, last, newest, format('SELECT setval(%L, %s)', sequence, newest)
FROM (
    SELECT 'pgqueue.job_id', coalesce(pg_sequence_last_value('pgqueue.job_id'::regclass), 0),
           greatest((SELECT max(id) FROM pgqueue.job), (SELECT max(id) FROM pgqueue.archive),
                    (SELECT max(id) FROM pgqueue.workflow), (SELECT max(child_id) FROM pgqueue.dependency),
                    (SELECT max(parent_id) FROM pgqueue.dependency))
    UNION ALL
    SELECT 'pgqueue.position', coalesce(pg_sequence_last_value('pgqueue.position'::regclass), 0),
           (SELECT max(position) FROM pgqueue.job)
) AS numbers(sequence, last, newest)
WHERE newest > last;
