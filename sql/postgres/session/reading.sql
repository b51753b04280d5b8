-- reading: this transaction only reads, and gives up soon, so that a viewer is in nobody's way.
--
-- in:   milliseconds integer: the longest that a statement may run
-- out:  nothing
SELECT set_config('transaction_read_only', 'on', true),
       set_config('statement_timeout', :milliseconds::text, true),
       set_config('lock_timeout', '100ms', true);
