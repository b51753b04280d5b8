-- settings: gives a session that is not a worker's own the settings of one that is, for one transaction.
--
-- in:   durable boolean: false lets a crash undo what this transaction commits
-- out:  nothing
SELECT set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true),
       set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true),
       set_config('plan_cache_mode', 'force_generic_plan', true),
       set_config('jit', 'off', true),
       set_config('lock_timeout', '250ms', true),
       set_config('idle_in_transaction_session_timeout', '60s', true),
       set_config('default_transaction_isolation', 'read committed', true),
       set_config('extra_float_digits', '1', true),
       set_config('statement_timeout', '0', true),
       set_config('search_path', concat_ws(', ', 'pg_catalog', nullif(current_setting('search_path'), '')), true),
       set_config('synchronous_commit',
                  CASE WHEN :durable::boolean THEN current_setting('synchronous_commit') ELSE 'off' END, true);
