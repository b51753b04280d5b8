-- elect: at most one leader; the asking worker stays leader, or becomes leader when there is none.
--
-- in:   name text · worker integer · term_seconds · now
-- out:  worker: who leads now · elected: whether that is the asking worker · workers: how many there are
-- trap: a candidate that does not win writes nothing. A leader is replaced at once, not at the end of its term, when its
--       session is dead, or when its last heartbeat lies in the future: the clock was ahead, and the term would last too
--       long. The UPDATE checks again that the term it takes is the one that was seen to be over: while we waited for
--       the row, its leader may have renewed, or another worker may have won.
WITH clock AS MATERIALIZED (
    SELECT coalesce(:now::timestamptz, clock_timestamp()) AS instant
), incumbent AS MATERIALIZED (
    SELECT l.worker
    FROM pgqueue.leader AS l, clock
    WHERE l.name = :name::text AND l.worker <> :worker::integer AND l.until > instant
      AND NOT EXISTS (
          SELECT FROM pgqueue.worker AS w
          WHERE w.id = l.worker AND (w.heartbeat_at > instant + interval '1 second' OR w.session AND w.id NOT IN (
              -- include: present
          )))
), won AS (
    INSERT INTO pgqueue.leader AS l (name, worker, elected_at, until)
    SELECT :name::text, :worker::integer, instant, instant + make_interval(secs => :term_seconds::float8)
    FROM clock
    WHERE NOT EXISTS (SELECT FROM incumbent)
    ON CONFLICT (name) DO UPDATE
    SET worker = excluded.worker,
        until = excluded.until,
        elected_at = CASE l.worker WHEN excluded.worker THEN l.elected_at ELSE excluded.elected_at END
    WHERE l.worker = excluded.worker
       OR (l.worker, l.until) = (SELECT seen.worker, seen.until FROM pgqueue.leader AS seen WHERE seen.name = :name::text)
    RETURNING l.worker
)
SELECT worker, true, (SELECT count(*) FROM pgqueue.worker) FROM won
UNION ALL
SELECT worker, false, (SELECT count(*) FROM pgqueue.worker) FROM incumbent;
