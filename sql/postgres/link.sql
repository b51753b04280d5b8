-- link: makes edges from parents to children that this transaction has just enqueued as blocked.
--
-- in:   edges  JSON array of {child, parent, policy, name}
--       merged JSON array of {child, blocked_by}: children with fewer edges than they were enqueued
--              with, because two of their parents turned out to be one job
--       elsewhere JSON array of the parents that this transaction has not enqueued itself
--       keep, now   as for complete
-- out:  nothing
-- trap: a function with its owner's rights, as hold. A parent may have finished, before this call or while we
--       waited for its row, or may just be retried: such edges are decided at once, by the same statements
--       as all others. A parent that is in neither table held a unique key, has finished since, and was
--       not kept: it counts as completed.
SELECT pgqueue.link(:edges::jsonb, :merged::jsonb, :elsewhere::jsonb, :keep::jsonb,
                    coalesce(:now::timestamptz, clock_timestamp()))::text;
