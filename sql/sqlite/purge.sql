-- purge: deletes finished jobs now, whatever their retention.
--
-- in:   ids   JSON array of job ids
-- out:  id, answer: 'purged', or 'wanted' for a job whose result an unfinished child may still read; a missing
--       one has not finished, or never existed
-- walks: the primary key
SELECT json_group_array(json_array(id, iif(wanted, 'wanted', 'purged'))) AS ":found"
FROM (
    SELECT a.id, EXISTS (
               SELECT 1 FROM pgqueue_dependency AS d
               CROSS JOIN pgqueue_job AS j ON j.id = d.child_id
               WHERE d.parent_id = a.id) AS wanted
    FROM pgqueue_archive AS a
    WHERE a.id IN (SELECT value FROM json_each(:ids))
);

UPDATE pgqueue_sequence SET value = (SELECT number FROM pgqueue_last) WHERE name = 'job' AND :found <> '[]';

DELETE FROM pgqueue_archive
WHERE id IN (SELECT value ->> 0 FROM json_each(:found) WHERE value ->> 1 = 'purged');

SELECT value ->> 0, value ->> 1 FROM json_each(:found);
