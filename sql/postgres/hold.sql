-- hold: keeps parents as they are until this transaction ends, so that a child can be added to them.
--
-- in:   ids    JSON array of job ids
-- out:  id of each that exists, live or in the archive; one may come twice
-- trap: FOR KEY SHARE: a parent can still be claimed and can fail its attempt, but not finish, and a finished
--       one cannot be retried. Locked in id order. One that finished while we waited is found by the
--       second statement, one that was retried by the third.
SELECT id
FROM pgqueue.job
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint))
ORDER BY id
FOR KEY SHARE;

SELECT id
FROM pgqueue.archive
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint))
ORDER BY id
FOR KEY SHARE;

SELECT id
FROM pgqueue.job
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint))
ORDER BY id
FOR KEY SHARE;
