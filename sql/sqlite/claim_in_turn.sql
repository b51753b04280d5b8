-- claim_in_turn: claims as `claim` does, but key by key, within the limits of the queue.
--
-- in:   queue text · worker integer · lease integer · limit integer · now   as for claim
--       last_key text: the key whose turn was last
--       quantum integer: so many jobs of a key at a turn, times its weight, while other keys wait
--       steps   integer: look at no more than so many keys
-- out:  keys text array, in turn, whose jobs are claimed · after: the last key that was looked at · more: not all keys
--       were looked at · contended: never, as there is one writer · free_seconds: until a rate allows more · limited: the
--       queue has limits · keyed: a key was among them. Then the jobs, as claim answers, in no order
-- walks: pgqueue_job_claim by leaps, from one key to the next; pgqueue_job_permit; pgqueue_start
-- trap: a key's jobs are found one after the other, as LIMIT takes no column. Room that is left, after each key had its
--       quantum, is shared: so the next jobs of a key are looked for behind the last one of its quantum.
SELECT q.limits AS ":limits", q.paused_at AS ":paused",
       EXISTS (SELECT 1 FROM pgqueue_queue_key AS k WHERE k.queue = :queue) AS ":excepted"
FROM (SELECT 1) AS one
LEFT JOIN pgqueue_queue AS q ON q.name = :queue;

SELECT iif(:paused IS NOT NULL, 0, min(
           CAST(:limit AS INTEGER),
           coalesce(:limits ->> '$.concurrency' - (
               SELECT count(*) FROM pgqueue_job AS j
               WHERE j.queue = :queue AND j.permit IS NOT NULL AND j.state = 'running'), 1000000),
           coalesce(:limits ->> '$.rate[0]' - (
               SELECT coalesce(sum(s.count), 0) FROM pgqueue_start AS s
               WHERE s.queue = :queue AND s.key = ''
                 AND s.at <= :now + 1000000
                 AND s.at >= :now - CAST(:limits ->> '$.rate[1]' * 1000000 AS INTEGER)), 1000000))) AS ":room";

WITH RECURSIVE pick(step, count, key, lap, taken, room, priority, position, id, weight, free_at) AS (
    SELECT 0, 0, CAST(:last_key AS TEXT), 0, 0, 0, 0, 0, NULL, 0, NULL
    WHERE :room > 0
    UNION ALL
    SELECT w.step + (same.id IS NULL), w.count + (w.room > 0), coalesce(same.key, next.key),
           CASE WHEN same.id IS NULL AND next.key <= w.key THEN 1 ELSE w.lap END,
           iif(same.id IS NULL, 1, w.taken + 1),
           CASE WHEN same.id IS NOT NULL THEN w.room
                WHEN :limits ->> '$.ordered' THEN
                    coalesce((SELECT j.state = 'available' FROM pgqueue_job AS j
                              WHERE j.queue = :queue AND j.key = next.key AND j.permit IS NOT NULL
                              ORDER BY j.permit LIMIT 1), 1)
                    * (next.key = '' OR coalesce(coalesce(own.limits ->> '$.rate[0]', :limits ->> '$.key_rate[0]') - (
                           SELECT sum(s.count) FROM pgqueue_start AS s
                           WHERE s.queue = :queue AND s.key = next.key
                             AND s.at <= :now + 1000000
                             AND s.at >= :now - CAST(coalesce(own.limits ->> '$.rate[1]', :limits ->> '$.key_rate[1]') * 1000000 AS INTEGER)), 1) > 0)
                ELSE min(
                    CASE WHEN next.key = '' THEN 1000000
                         ELSE coalesce(coalesce(own.limits ->> '$.concurrency', :limits ->> '$.key_concurrency') - (
                             SELECT count(*) FROM pgqueue_job AS j
                             WHERE j.queue = :queue AND j.key = next.key AND j.permit IS NOT NULL AND j.state = 'running'),
                             1000000) END,
                    CASE WHEN next.key = '' THEN 1000000
                         ELSE coalesce(coalesce(own.limits ->> '$.rate[0]', :limits ->> '$.key_rate[0]') - (
                             SELECT coalesce(sum(s.count), 0) FROM pgqueue_start AS s
                             WHERE s.queue = :queue AND s.key = next.key
                               AND s.at <= :now + 1000000
                               AND s.at >= :now - CAST(coalesce(own.limits ->> '$.rate[1]', :limits ->> '$.key_rate[1]') * 1000000 AS INTEGER)),
                             1000000) END) END,
           coalesce(same.priority, next.priority), coalesce(same.position, next.position),
           CASE WHEN same.id IS NOT NULL THEN same.id
                WHEN :limits ->> '$.ordered' THEN
                    coalesce((SELECT j.id FROM pgqueue_job AS j
                              WHERE j.queue = :queue AND j.key = next.key AND j.permit IS NOT NULL
                              ORDER BY j.permit LIMIT 1), next.id)
                ELSE next.id END,
           iif(same.id IS NULL, coalesce(own.limits ->> '$.weight', 1), w.weight),
           CASE WHEN same.id IS NULL AND next.key > '' THEN (
               SELECT s.at FROM (SELECT s.at, sum(s.count) OVER (ORDER BY s.at DESC) AS since FROM pgqueue_start AS s
                                 WHERE s.queue = :queue AND s.key = next.key
                                   AND s.at <= :now + 1000000
                                   AND s.at >= :now - CAST(coalesce(own.limits ->> '$.rate[1]', :limits ->> '$.key_rate[1]') * 1000000 AS INTEGER)) AS s
               WHERE s.since >= coalesce(own.limits ->> '$.rate[0]', :limits ->> '$.key_rate[0]')
               ORDER BY s.at DESC LIMIT 1)
               + CAST(coalesce(own.limits ->> '$.rate[1]', :limits ->> '$.key_rate[1]') * 1000000 AS INTEGER) END
    FROM pick AS w
    LEFT JOIN pgqueue_job AS same ON w.taken < min(w.room, CAST(:quantum AS INTEGER) * w.weight) AND same.id = (
        SELECT j.id FROM pgqueue_job AS j INDEXED BY pgqueue_job_claim
        WHERE j.queue = :queue AND j.key = w.key AND j.state = 'available'
          AND (j.priority, j.position) > (w.priority, w.position)
        ORDER BY j.priority, j.position
        LIMIT 1)
    LEFT JOIN pgqueue_job AS next ON same.id IS NULL AND next.id = coalesce(
        (SELECT j.id FROM pgqueue_job AS j INDEXED BY pgqueue_job_claim
         WHERE w.lap = 0 AND j.queue = :queue AND j.state = 'available' AND j.key > w.key
         ORDER BY j.key, j.priority, j.position
         LIMIT 1),
        (SELECT j.id FROM pgqueue_job AS j INDEXED BY pgqueue_job_claim
         WHERE w.lap = 1 AND j.queue = :queue AND j.state = 'available' AND j.key > w.key AND j.key <= :last_key
         ORDER BY j.key, j.priority, j.position
         LIMIT 1),
        (SELECT j.id FROM pgqueue_job AS j INDEXED BY pgqueue_job_claim
         WHERE w.lap = 0 AND j.queue = :queue AND j.state = 'available' AND j.key <= :last_key
         ORDER BY j.key, j.priority, j.position
         LIMIT 1))
    LEFT JOIN pgqueue_queue_key AS own ON :excepted AND own.queue = :queue AND own.key = next.key
    WHERE (same.id IS NOT NULL OR next.id IS NOT NULL AND w.step < CAST(:steps AS INTEGER))
      AND w.count + (w.room > 0) < :room
)
SELECT count(*) FILTER (WHERE room > 0) AS ":count",
       coalesce(max(step), 0) AS ":looked",
       coalesce((SELECT key FROM pick ORDER BY step DESC LIMIT 1), :last_key) AS ":last",
       (SELECT sum(weight) FROM (SELECT DISTINCT step, weight FROM pick WHERE room > 0)) AS ":weights",
       min(free_at) AS ":free",
       coalesce(max(key > '' AND step > 0), 0) AS ":keyed",
       json_group_array(json_array(id, key)) FILTER (WHERE room > 0) AS ":picked",
       (SELECT json_group_array(json_array(key, taken, priority, position, room, weight))
        FROM (SELECT key, max(taken) AS taken, priority, position, room, weight FROM pick
              GROUP BY step
              HAVING room > max(taken))) AS ":ends"
FROM pick;

SELECT :room > 0 AND (:count >= :room OR :looked >= CAST(:steps AS INTEGER)) AS ":more";

SELECT iif(:more OR :weights IS NULL, 0, CAST(:room AS INTEGER) / :weights) AS ":share";

WITH RECURSIVE further(key, taken, most, priority, position, id) AS (
    SELECT e.value ->> 0, e.value ->> 1, min(e.value ->> 4, :share * (e.value ->> 5)), e.value ->> 2, e.value ->> 3, NULL
    FROM json_each(:ends) AS e
    WHERE :share > CAST(:quantum AS INTEGER)
    UNION ALL
    SELECT f.key, f.taken + 1, f.most, j.priority, j.position, j.id
    FROM further AS f
    CROSS JOIN pgqueue_job AS j ON j.id = (
        SELECT same.id FROM pgqueue_job AS same INDEXED BY pgqueue_job_claim
        WHERE same.queue = :queue AND same.key = f.key AND same.state = 'available'
          AND (same.priority, same.position) > (f.priority, f.position)
        ORDER BY same.priority, same.position
        LIMIT 1)
    WHERE f.taken < f.most
)
SELECT json_group_array(id) AS ":chosen", json_group_array(key) AS ":keys"
FROM (SELECT p.value ->> 0 AS id, p.value ->> 1 AS key FROM json_each(:picked) AS p
      UNION ALL
      SELECT id, key FROM further WHERE id IS NOT NULL);

UPDATE pgqueue_sequence
SET value = value + json_array_length(:chosen)
WHERE name = 'permit' AND :limits IS NOT NULL AND :chosen <> '[]'
RETURNING value - json_array_length(:chosen) + 1 AS ":first";

INSERT INTO pgqueue_start (queue, key, at, count)
SELECT :queue, key, :now, count(*)
FROM (SELECT '' AS key FROM json_each(:keys) WHERE :limits ->> '$.rate[0]' IS NOT NULL
      UNION ALL
      SELECT k.value FROM json_each(:keys) AS k
      WHERE k.value > '' AND coalesce(
          (SELECT own.limits ->> '$.rate[0]' FROM pgqueue_queue_key AS own WHERE :excepted AND own.queue = :queue AND own.key = k.value),
          :limits ->> '$.key_rate[0]') IS NOT NULL)
GROUP BY key
ON CONFLICT (queue, key, at) DO UPDATE SET count = count + excluded.count;

DELETE FROM pgqueue_start
WHERE queue = :queue AND key = '' AND at < :now - CAST(:limits ->> '$.rate[1]' * 1000000 AS INTEGER);

DELETE FROM pgqueue_start
WHERE queue = :queue
  AND key IN (SELECT value FROM json_each(:keys) WHERE value > '')
  AND at < :now - CAST(coalesce(
      (SELECT own.limits ->> '$.rate[1]' FROM pgqueue_queue_key AS own WHERE :excepted AND own.queue = :queue AND own.key = pgqueue_start.key),
      :limits ->> '$.key_rate[1]') * 1000000 AS INTEGER);

SELECT :keys AS "keys[]", :last, :more, 0,
       (min(coalesce(:free, 9223372036854775807), coalesce(
           CASE WHEN :room <= 0 THEN (
               SELECT s.at FROM (SELECT s.at, sum(s.count) OVER (ORDER BY s.at DESC) AS since FROM pgqueue_start AS s
                                 WHERE s.queue = :queue AND s.key = ''
                                   AND s.at <= :now + 1000000
                                   AND s.at >= :now - CAST(:limits ->> '$.rate[1]' * 1000000 AS INTEGER)) AS s
               WHERE s.since >= :limits ->> '$.rate[0]' ORDER BY s.at DESC LIMIT 1)
               + CAST(:limits ->> '$.rate[1]' * 1000000 AS INTEGER) END, 9223372036854775807)) - :now) / 1000000.0,
       :limits IS NOT NULL, :keyed;

UPDATE pgqueue_job
SET state = 'running',
    attempt = attempt + 1,
    lease = CAST(:lease AS INTEGER),
    worker = CAST(:worker AS INTEGER),
    claimed_at = :now,
    permit = CASE WHEN :limits ->> '$.ordered' THEN coalesce(permit, :first + c.key)
                  WHEN :limits IS NOT NULL THEN :first + c.key END
FROM json_each(:chosen) AS c
WHERE pgqueue_job.id = c.value
RETURNING id, priority, position, attempt, task, args, max_attempts, timeout_seconds, run_at / 1000000.0,
          rescues, progress, metadata, tags AS "tags[]", workflow, queue, pgqueue_job.key,
          (expires_at - claimed_at) / 1000000.0 AS expires_in;
