-- workers: the processes that are present.
--
-- in:   nothing
-- out:  one JSON document a worker: its row, and leads: whether it is the leader
SELECT (to_jsonb(w) || jsonb_build_object(
           'leads', EXISTS (SELECT FROM pgqueue.leader AS l WHERE l.worker = w.id AND l.until > clock_timestamp())))::text
FROM pgqueue.worker AS w
ORDER BY w.started_at, w.id;
