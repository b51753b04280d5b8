-- stuck: jobs that stay where they are until the leader's sweep finds them.
--
-- in:   limit integer: look for at most so many · now
-- out:  orphaned: running jobs whose worker is gone · example: the id of one
--       stranded: blocked jobs whose parents have all finished · example
WITH orphaned AS (
    SELECT j.id
    FROM pgqueue.job AS j
    WHERE j.state = 'running'
      AND NOT EXISTS (SELECT FROM pgqueue.worker AS w WHERE w.id = j.worker)
      AND NOT j.claimed_at BETWEEN coalesce(:now::timestamptz, clock_timestamp()) - interval '1 minute'
                               AND coalesce(:now::timestamptz, clock_timestamp()) + interval '1 second'
    LIMIT :limit::integer
), stranded AS (
    SELECT j.id
    FROM (SELECT id FROM pgqueue.job WHERE state = 'blocked' ORDER BY id LIMIT :limit::integer) AS j
    WHERE NOT EXISTS (
        SELECT
        FROM pgqueue.dependency AS d JOIN pgqueue.job AS p ON p.id = d.parent_id
        WHERE d.child_id = j.id AND d.outcome IS NULL)
)
SELECT (SELECT count(*) FROM orphaned), (SELECT min(id) FROM orphaned),
       (SELECT count(*) FROM stranded), (SELECT min(id) FROM stranded);
