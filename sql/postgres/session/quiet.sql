-- quiet: this transaction sends no notification, because it will be prepared for two-phase commit.
--
-- in:   nothing
-- out:  nothing
-- trap: PREPARE TRANSACTION refuses a transaction that has notified. Sleepers find what it commits when they look
--       the next time.
SELECT set_config('pgqueue_local.notify', 'off', true);
