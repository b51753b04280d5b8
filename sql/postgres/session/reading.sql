-- reading: this transaction only reads, and gives up soon: for who looks, and is not to be in the way.
--
-- in:   milliseconds integer: for so long a statement may run
-- out:  nothing
SELECT set_config('transaction_read_only', 'on', true),
       set_config('statement_timeout', :milliseconds::text, true),
       set_config('lock_timeout', '100ms', true);
