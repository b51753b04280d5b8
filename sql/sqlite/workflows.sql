-- workflows: the workflows, the newest first, with how many of their jobs are in which state.
--
-- in:   id, before  integer or null: only this one · only ids below it, for the next page
--       name, tag   text or null · limit integer
--       look        integer: count at most so many jobs of each
-- out:  one JSON document a workflow: id, name, tags, created_at, states
-- walks: the primary key from its end; pgqueue_job_workflow, pgqueue_archive_workflow
SELECT json_object(
           'id', w.id, 'name', w.name, 'tags', json(w.tags),
           'created_at', strftime('%Y-%m-%dT%H:%M:%S', w.created_at / 1000000, 'unixepoch') || printf('.%06dZ', w.created_at % 1000000),
           'states', (
               SELECT json_group_object(state, n)
               FROM (SELECT state, count(*) AS n
                     FROM (SELECT j.state FROM pgqueue_job AS j WHERE j.workflow = w.id
                           UNION ALL
                           SELECT a.state FROM pgqueue_archive AS a WHERE a.workflow = w.id
                           LIMIT CAST(:look AS INTEGER)) AS looked_at
                     GROUP BY state) AS by_state))
FROM pgqueue_workflow AS w
WHERE (:id IS NULL OR w.id = CAST(:id AS INTEGER))
  AND (:before IS NULL OR w.id < CAST(:before AS INTEGER))
  AND (:name IS NULL OR w.name = :name)
  AND (:tag IS NULL OR EXISTS (SELECT 1 FROM json_each(w.tags) AS t WHERE t.value = :tag))
ORDER BY w.id DESC
LIMIT CAST(:limit AS INTEGER);
