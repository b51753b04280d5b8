-- workers: the processes that are present.
--
-- in:   now
-- out:  one JSON document a worker: its row, and leads: whether it is the leader
SELECT json_object(
           'id', w.id, 'name', w.name, 'host', w.host, 'pid', w.pid, 'queues', json(w.queues), 'running', w.running,
           'started_at', strftime('%Y-%m-%dT%H:%M:%S', w.started_at / 1000000, 'unixepoch') || printf('.%06dZ', w.started_at % 1000000),
           'heartbeat_at', strftime('%Y-%m-%dT%H:%M:%S', w.heartbeat_at / 1000000, 'unixepoch') || printf('.%06dZ', w.heartbeat_at % 1000000),
           'suspected_at', strftime('%Y-%m-%dT%H:%M:%S', w.suspected_at / 1000000, 'unixepoch') || printf('.%06dZ', w.suspected_at % 1000000),
           'session', json(iif(w.session, 'true', 'false')), 'info', json(w.info), 'asked', w.asked,
           'leads', json(iif(EXISTS (SELECT 1 FROM pgqueue_leader AS l WHERE l.worker = w.id AND l.until > :now), 'true', 'false')))
FROM pgqueue_worker AS w
ORDER BY w.started_at, w.id;
