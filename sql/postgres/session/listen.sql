-- listen: this session receives notifications.
--
-- in:   nothing
-- out:  nothing
-- trap: useless behind a pooler in transaction mode: it succeeds, and nothing ever arrives.
LISTEN pgqueue;
