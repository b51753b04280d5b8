-- elect: at most one leader; the asking worker stays leader, or becomes leader when there is none.
--
-- in:   name text · worker integer · term_seconds · now
--       present JSON array of the workers whose presence locks are held
-- out:  worker: who leads now · elected: whether that is the asking worker · workers: how many there are
-- trap: a candidate that does not win writes nothing. A leader is replaced at once, not at the end of its term, when its
--       session is dead, or when its last heartbeat lies in the future.
INSERT INTO pgqueue_leader (name, worker, elected_at, until)
SELECT :name, CAST(:worker AS INTEGER), :now, :now + CAST(:term_seconds * 1000000 AS INTEGER)
WHERE NOT EXISTS (
    SELECT 1
    FROM pgqueue_leader AS l
    WHERE l.name = :name AND l.worker <> CAST(:worker AS INTEGER) AND l.until > :now
      AND NOT EXISTS (
          SELECT 1 FROM pgqueue_worker AS w
          WHERE w.id = l.worker
            AND (w.heartbeat_at > :now + 1000000 OR w.session AND w.id NOT IN (SELECT value FROM json_each(:present)))))
ON CONFLICT (name) DO UPDATE
SET worker = excluded.worker,
    until = excluded.until,
    elected_at = iif(worker = excluded.worker, elected_at, excluded.elected_at);

SELECT worker, worker = CAST(:worker AS INTEGER), (SELECT count(*) FROM pgqueue_worker)
FROM pgqueue_leader WHERE name = :name;
