-- enqueue_once: as enqueue_unique, for keys that hold until a job starts or for a time, and for jobs that replace a waiting one.
--
-- in:   jobs   as for enqueue_unique, with until ('started'), until_seconds, conflict ('replace'), merged: names of
--              arguments that are lists, kept: names of what stays as it is, at_most_seconds after it was enqueued
--       notify, now   as for enqueue
-- out:  ordinal, id, outcome, behind: one row a job. 'created'; 'next': a job that waits for the running job *behind*;
--       its blocked_by counts that job, and the caller must make the edge; for an existing job 'existing', 'replaced', or
--       'too large', then it is unchanged
-- walks: job_unique, job_next, the primary key of recent
-- trap: a waiting job is locked until the transaction ends, and claim skips it: so a run begins only after every change
--       to it has committed. A key has two places, unique_key and next_key, and a job that is alone has both: so the
--       next job meets a unique index in any isolation level. See the function, which asks again whenever it waited.
SELECT ordinal, id, outcome, behind
FROM pgqueue.enqueue_once(:jobs::jsonb, :notify::boolean, coalesce(:now::timestamptz, clock_timestamp()));
