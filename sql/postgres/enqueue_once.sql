-- enqueue_once: as enqueue_unique, when keys hold until a job has started, or for a time, or when what is there is changed.
--
-- in:   jobs   as for enqueue_unique, with until ('started'), until_seconds, conflict ('replace'), merged: names of
--              arguments that are lists, kept: names of what stays as it is, at_most_seconds after it was enqueued
--       notify, now   as for enqueue
-- out:  ordinal, id, outcome, behind: one row a job. 'created'; 'next', a job that is to wait behind that one, which
--       runs: it has one more in blocked_by, and its edge is the caller's to make; of the job that is there 'existing',
--       'replaced', or 'too large', then it is as it was
-- walks: job_unique, job_next, the primary key of recent
-- trap: what waits is locked until the transaction ends, and claim passes over it: so a run begins after all that was
--       said of it has committed. A key has two places, unique_key and next_key, and a job that is alone has both: so the
--       next one meets a unique index in any isolation. See the function, which asks again whenever it waited.
SELECT ordinal, id, outcome, behind
FROM pgqueue.enqueue_once(:jobs::jsonb, :notify::boolean, coalesce(:now::timestamptz, clock_timestamp()));
