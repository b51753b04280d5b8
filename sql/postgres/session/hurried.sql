-- hurried: the commit of this transaction waits for no disk.
--
-- in:   nothing
-- out:  nothing
-- trap: only for what may be undone by a crash, such as a claim: what it took is available then.
SELECT set_config('synchronous_commit', 'off', true);
