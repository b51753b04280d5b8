-- hurried: the commit of this transaction does not wait for the disk.
--
-- in:   nothing
-- out:  nothing
-- trap: only for what a crash may undo, such as a claim: its jobs are then available again.
SELECT set_config('synchronous_commit', 'off', true);
