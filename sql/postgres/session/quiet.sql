-- quiet: this transaction sends no notification, because it will be prepared for two-phase commit.
--
-- in:   nothing
-- out:  nothing
-- trap: PREPARE TRANSACTION refuses a transaction that has notified. Sleepers find what it commits at their next
--       regular look.
SELECT set_config('pgqueue_local.notify', 'off', true);
