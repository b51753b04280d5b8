-- door: enqueues one job by the schema's own function, through any driver: all parameters are text.
--
-- in:   task, args, queue, priority, run_at, delay_seconds, max_attempts, timeout_seconds, unique_key · tags JSON array
--       metadata, key · unique_until 'finished', 'started' or an interval
-- out:  id, of the job or of the unfinished one that holds its unique key
-- trap: parameters are cast to text first: a driver that asks the server for their types would want dicts and
--       datetimes for the others. CAST, because SQLAlchemy finds no parameter before `::`.
SELECT pgqueue.enqueue(
    CAST(:task AS text), CAST(:args AS text)::jsonb, CAST(:queue AS text), CAST(:priority AS text)::integer,
    CAST(:run_at AS text)::timestamptz, make_interval(secs => CAST(:delay_seconds AS text)::float8),
    CAST(:max_attempts AS text)::integer, make_interval(secs => CAST(:timeout_seconds AS text)::float8),
    CAST(:unique_key AS text), ARRAY(SELECT jsonb_array_elements_text(CAST(:tags AS text)::jsonb)),
    CAST(:metadata AS text)::jsonb, CAST(:key AS text), CAST(:unique_until AS text));
