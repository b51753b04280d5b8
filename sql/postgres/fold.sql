-- fold: replaces rows of the tally by their sums, if all of them are still there, and deletes hours past their retention.
--
-- in:   replaced JSON array of {at, seconds, worker, queue, task} · rows JSON array, as for tally: their sums
--       before bigint: hours that began earlier are deleted
-- out:  *last* result: whether the rows were replaced
-- walks: the primary key, by its values; for deletions, from the oldest hour
-- trap: for a moment there may be two leaders that fold the same rows: one that finds a row gone changes nothing. Several
--       statements, as a sum may have the key of a row that is deleted.
WITH asked AS MATERIALIZED (
    SELECT 'epoch'::timestamptz + g.at * interval '1 microsecond' AS at, g.seconds, g.worker, g.queue, g.task
    FROM jsonb_to_recordset(:replaced::jsonb) AS g(at bigint, seconds integer, worker integer, queue text, task text)
    ORDER BY g.seconds, g.at, g.worker, g.queue, g.task
), locked AS MATERIALIZED (
    SELECT t.at
    FROM asked AS g
    CROSS JOIN LATERAL (
        SELECT t.at FROM pgqueue.tally AS t
        WHERE t.seconds = g.seconds AND t.at = g.at AND t.worker = g.worker AND t.queue = g.queue AND t.task = g.task
        FOR UPDATE
    ) AS t
)
SELECT set_config('pgqueue_local.whole', ((SELECT count(*) FROM locked) = (SELECT count(*) FROM asked))::text, true);

DELETE FROM pgqueue.tally AS t
USING jsonb_to_recordset(:replaced::jsonb) AS g(at bigint, seconds integer, worker integer, queue text, task text)
WHERE current_setting('pgqueue_local.whole')::boolean
  AND t.seconds = ANY (ARRAY[g.seconds]) AND t.at = ANY (ARRAY['epoch'::timestamptz + g.at * interval '1 microsecond'])
  AND t.worker = ANY (ARRAY[g.worker]) AND t.queue = ANY (ARRAY[g.queue]) AND t.task = ANY (ARRAY[g.task]);

DELETE FROM pgqueue.tally AS t
WHERE t.seconds = 3600 AND t.at < 'epoch'::timestamptz + :before::bigint * interval '1 microsecond';

INSERT INTO pgqueue.tally (at, seconds, worker, queue, task, figures)
SELECT 'epoch'::timestamptz + r.at * interval '1 microsecond', r.seconds, r.worker, r.queue, r.task, r.figures
FROM jsonb_to_recordset(:rows::jsonb) AS r(at bigint, seconds integer, worker integer, queue text, task text, figures jsonb)
WHERE current_setting('pgqueue_local.whole')::boolean
ORDER BY r.seconds, r.at, r.worker, r.queue, r.task;

SELECT current_setting('pgqueue_local.whole')::boolean;
