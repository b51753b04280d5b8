-- restore: brings jobs of another store with their state and edges; each once, however often it is called.
--
-- in:   source    text: the other store's store_id
--       jobs      JSON array of {id, state, task, queue, …, edges: [{parent, policy, outcome, name}]}, available ones in
--                 the order in which they are to be claimed; ids, cause and workflow are the source's ids,
--                 instants microseconds since 1970
--       workflows JSON array of {id, name, tags, created_at} of these jobs
--       keep, now as for complete
-- out:  id there, id here of each job that this call brought
-- then: parts/settle, parts/archive
-- trap: ids and jobs in one transaction, so that a copy repeated after a crash brings no job twice. A parent whose edge
--       is not decided must be here already: an edge from a job that is missing would look stranded to the sweep. Such a
--       parent may have finished here meanwhile: it is locked, and the edge decided, as in link. For a unique key that is held
--       here the holder counts, as in enqueue; the children wait for that one. A setting is read once a statement,
--       into an array or a join: read for each job it would be parsed for each job, and a batch of 500 took 0.2 s.
WITH named AS (
    INSERT INTO pgqueue.copied (source, source_id, id, here)
    SELECT :source::text || ' workflow', w.id, nextval('pgqueue.job_id'), true
    FROM jsonb_to_recordset(:workflows::jsonb) AS w(id bigint)
    ORDER BY w.id
    ON CONFLICT DO NOTHING
    RETURNING source_id, id
)
INSERT INTO pgqueue.workflow (id, created_at, name, tags)
SELECT named.id, 'epoch'::timestamptz + w.created_at * interval '1 microsecond', w.name, w.tags
FROM named
JOIN jsonb_to_recordset(:workflows::jsonb) AS w(id bigint, created_at bigint, name text, tags text[])
    ON w.id = named.source_id;

WITH numbered AS (
    INSERT INTO pgqueue.copied AS c (source, source_id, id, here)
    SELECT :source::text, g.id, nextval('pgqueue.job_id'), true
    FROM (SELECT id FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint) ORDER BY id) AS g
    ON CONFLICT (source, source_id) DO UPDATE SET here = true WHERE NOT c.here
    RETURNING source_id, id
)
SELECT set_config('pgqueue_local.bringing', coalesce(jsonb_object_agg(source_id, id), '{}')::text, true)
FROM numbered;

INSERT INTO pgqueue.copied (source, source_id, id, here)
SELECT :source::text, parent, nextval('pgqueue.job_id'), false
FROM (
    SELECT DISTINCT e.parent
    FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, edges jsonb)
    CROSS JOIN jsonb_to_recordset(g.edges) AS e(parent bigint, outcome text)
    WHERE e.outcome IS NOT NULL AND g.id = ANY (ARRAY(SELECT jsonb_object_keys(current_setting('pgqueue_local.bringing')::jsonb)::bigint))
    ORDER BY e.parent
) AS known
ON CONFLICT DO NOTHING;

UPDATE pgqueue.job AS j
SET next_key = NULL
FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, unique_key text, edges jsonb, finished_at bigint)
CROSS JOIN jsonb_to_recordset(g.edges) AS e(parent bigint, outcome text)
CROSS JOIN LATERAL (
    SELECT c.id FROM pgqueue.copied AS c WHERE c.source = :source::text AND c.source_id = e.parent OFFSET 0) AS c
WHERE j.id = ANY (ARRAY[c.id]) AND e.outcome IS NULL AND g.finished_at IS NULL
  AND j.unique_key = g.unique_key AND j.next_key = g.unique_key
  AND g.id = ANY (ARRAY(SELECT jsonb_object_keys(current_setting('pgqueue_local.bringing')::jsonb)::bigint));

WITH given AS MATERIALIZED (
    SELECT g.*, b.value::bigint AS number
    FROM ROWS FROM (jsonb_to_recordset(:jobs::jsonb) AS (
             id bigint, state text, task text, queue text, key text, priority smallint, args jsonb, attempt smallint,
             max_attempts smallint, rescues smallint, run_at bigint, enqueued_at bigint,
             finished_at bigint, timeout_seconds float8, unique_key text, workflow bigint, reason text,
             errors jsonb, progress jsonb, metadata jsonb, tags text[], expires_at bigint, keep boolean, edges jsonb, due_at bigint,
             begun boolean)) WITH ORDINALITY AS g
    JOIN jsonb_each_text(current_setting('pgqueue_local.bringing')::jsonb) AS b ON b.key = g.id::text
    WHERE g.finished_at IS NULL
    ORDER BY g.ordinality
), keyed AS MATERIALIZED (
    SELECT g.id, f.follows,
           count(*) OVER (PARTITION BY g.unique_key) > 1 AND NOT f.follows AS is_followed
    FROM given AS g
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT FROM jsonb_to_recordset(g.edges) AS e(parent bigint, outcome text)
            WHERE e.outcome IS NULL
              AND (e.parent IN (SELECT o.id FROM given AS o WHERE o.unique_key = g.unique_key)
                   OR (SELECT (SELECT j.unique_key FROM pgqueue.job AS j WHERE j.id = c.id)
                       FROM pgqueue.copied AS c WHERE c.source = :source::text AND c.source_id = e.parent) = g.unique_key)
        ) AS follows
    ) AS f
    WHERE g.unique_key IS NOT NULL
), inserted AS (
    INSERT INTO pgqueue.job (id, position, run_at, enqueued_at, timeout_seconds, workflow, blocked_by, priority, attempt,
                             max_attempts, rescues, state, queue, key, task, unique_key, next_key, args, errors, progress, metadata, tags,
                             expires_at, keep, due_at, permit)
    SELECT g.number, nextval('pgqueue.position'), 'epoch'::timestamptz + g.run_at * interval '1 microsecond',
           'epoch'::timestamptz + g.enqueued_at * interval '1 microsecond', g.timeout_seconds, w.id,
           CASE g.state WHEN 'blocked' THEN 1 ELSE 0 END, g.priority, g.attempt,
           g.max_attempts, g.rescues, g.state, g.queue, coalesce(g.key, ''), g.task,
           CASE WHEN NOT k.follows THEN g.unique_key END, CASE WHEN NOT k.is_followed THEN g.unique_key END,
           g.args, g.errors, g.progress, g.metadata, g.tags, 'epoch'::timestamptz + g.expires_at * interval '1 microsecond', g.keep,
           'epoch'::timestamptz + nullif(g.due_at, g.run_at) * interval '1 microsecond',
           CASE WHEN g.begun THEN nextval('pgqueue.permit') END
    FROM given AS g
    LEFT JOIN keyed AS k ON k.id = g.id
    LEFT JOIN LATERAL (
        SELECT c.id FROM pgqueue.copied AS c
        WHERE c.source = :source::text || ' workflow' AND c.source_id = g.workflow OFFSET 0) AS w ON true
    ON CONFLICT DO NOTHING
    RETURNING id, queue, state
), woken AS (
    SELECT count(pgqueue.wake(topic))
    FROM (SELECT DISTINCT CASE state WHEN 'available' THEN queue ELSE '@' END
          FROM inserted WHERE state <> 'blocked') AS topics(topic)
)
SELECT set_config('pgqueue_local.brought', coalesce((SELECT jsonb_agg(id) FROM inserted), '[]')::text, true)
FROM woken;

UPDATE pgqueue.copied AS c
SET id = least((SELECT j.id FROM pgqueue.job AS j WHERE j.unique_key = g.unique_key),
               (SELECT j.id FROM pgqueue.job AS j WHERE j.next_key = g.unique_key))
FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, unique_key text, finished_at bigint)
WHERE c.source = :source::text
  AND c.source_id = ANY (ARRAY[g.id])
  AND g.finished_at IS NULL
  AND g.id = ANY (ARRAY(SELECT jsonb_object_keys(current_setting('pgqueue_local.bringing')::jsonb)::bigint))
  AND c.id <> ALL (ARRAY(SELECT jsonb_array_elements_text(current_setting('pgqueue_local.brought')::jsonb)::bigint));

WITH archived AS (
    INSERT INTO pgqueue.archive (id, run_at, enqueued_at, claimed_at, finished_at, timeout_seconds, workflow, cause, priority,
                                 attempt, max_attempts, rescues, state, queue, key, task, unique_key, reason, args, result,
                                 errors, progress, metadata, tags)
    SELECT b.value::bigint,
           'epoch'::timestamptz + g.run_at * interval '1 microsecond', 'epoch'::timestamptz + g.enqueued_at * interval '1 microsecond',
           'epoch'::timestamptz + g.claimed_at * interval '1 microsecond', 'epoch'::timestamptz + g.finished_at * interval '1 microsecond',
           g.timeout_seconds, w.id, p.id, g.priority,
           g.attempt, g.max_attempts, g.rescues, g.state, g.queue, coalesce(g.key, ''), g.task, g.unique_key,
           CASE WHEN p.id IS NULL THEN g.reason ELSE replace(g.reason, 'parent ' || g.cause || ' ', 'parent ' || p.id || ' ') END,
           g.args, nullif(g.result, 'null'), g.errors, g.progress, g.metadata, g.tags
    FROM jsonb_to_recordset(:jobs::jsonb) AS g(
             id bigint, state text, task text, queue text, key text, priority smallint, args jsonb, attempt smallint,
             max_attempts smallint, rescues smallint, run_at bigint, enqueued_at bigint, claimed_at bigint,
             finished_at bigint, timeout_seconds float8, unique_key text, workflow bigint, cause bigint, reason text,
             result jsonb, errors jsonb, progress jsonb, metadata jsonb, tags text[])
    JOIN jsonb_each_text(current_setting('pgqueue_local.bringing')::jsonb) AS b ON b.key = g.id::text
    LEFT JOIN LATERAL (
        SELECT c.id FROM pgqueue.copied AS c
        WHERE c.source = :source::text || ' workflow' AND c.source_id = g.workflow OFFSET 0) AS w ON true
    LEFT JOIN LATERAL (
        SELECT c.id FROM pgqueue.copied AS c WHERE c.source = :source::text AND c.source_id = g.cause OFFSET 0) AS p ON true
    WHERE g.finished_at IS NOT NULL
    RETURNING id
)
SELECT set_config('pgqueue_local.brought',
                  (current_setting('pgqueue_local.brought')::jsonb || coalesce(jsonb_agg(id), '[]'))::text, true)
FROM archived;

WITH edge AS MATERIALIZED (
    SELECT child.id AS child_id, parent.id AS parent_id, e.policy, e.outcome, e.name
    FROM jsonb_to_recordset(:jobs::jsonb) AS g(id bigint, edges jsonb)
    CROSS JOIN LATERAL (
        SELECT c.id FROM pgqueue.copied AS c WHERE c.source = :source::text AND c.source_id = g.id OFFSET 0) AS child
    CROSS JOIN jsonb_to_recordset(g.edges) AS e(parent bigint, policy text, outcome text, name text)
    CROSS JOIN LATERAL (
        SELECT c.id FROM pgqueue.copied AS c WHERE c.source = :source::text AND c.source_id = e.parent OFFSET 0) AS parent
    WHERE child.id = ANY (ARRAY(SELECT jsonb_array_elements_text(current_setting('pgqueue_local.brought')::jsonb)::bigint))
), linked AS (
    INSERT INTO pgqueue.dependency (child_id, parent_id, policy, outcome, name)
    SELECT * FROM edge
    ON CONFLICT DO NOTHING
)
SELECT set_config('pgqueue_local.elsewhere', coalesce(jsonb_agg(DISTINCT parent_id), '[]')::text, true)
FROM edge
WHERE outcome IS NULL;

SELECT id
FROM pgqueue.job
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text(current_setting('pgqueue_local.elsewhere')::jsonb)::bigint))
ORDER BY id
FOR KEY SHARE;

SELECT id
FROM pgqueue.archive
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text(current_setting('pgqueue_local.elsewhere')::jsonb)::bigint))
ORDER BY id
FOR KEY SHARE;

SELECT id
FROM pgqueue.job
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text(current_setting('pgqueue_local.elsewhere')::jsonb)::bigint))
ORDER BY id
FOR KEY SHARE;

UPDATE pgqueue.job AS j
SET blocked_by = (SELECT count(*) FROM pgqueue.dependency AS d WHERE d.child_id = j.id AND d.outcome IS NULL)
WHERE j.state = 'blocked'
  AND j.id = ANY (ARRAY(SELECT jsonb_array_elements_text(current_setting('pgqueue_local.brought')::jsonb)::bigint));

WITH noted AS (
    SELECT set_config('pgqueue_local.finished', coalesce(jsonb_object_agg(state, ids), '{}')::text, true)
    FROM (
        SELECT coalesce(a.state, 'completed') AS state, array_agg(p.id)::text AS ids
        FROM (SELECT jsonb_array_elements_text(current_setting('pgqueue_local.elsewhere')::jsonb)::bigint AS id) AS p
        LEFT JOIN LATERAL (SELECT a.state FROM pgqueue.archive AS a WHERE a.id = p.id OFFSET 0) AS a ON true
        WHERE NOT EXISTS (SELECT FROM pgqueue.job AS j WHERE j.id = p.id)
        GROUP BY 1
    ) AS finished
)
SELECT brought.key::bigint, brought.value::bigint
FROM noted
LEFT JOIN LATERAL (
    SELECT b.key, b.value
    FROM jsonb_each_text(current_setting('pgqueue_local.bringing')::jsonb) AS b
    WHERE b.value::bigint = ANY (ARRAY(SELECT jsonb_array_elements_text(current_setting('pgqueue_local.brought')::jsonb)::bigint))
) AS brought ON true;
