-- time_limit: the longest that a statement of this session may run.
--
-- in:   nothing
-- out:  milliseconds, 0 for no limit; the same as people write it
SELECT setting::integer, current_setting('statement_timeout') FROM pg_settings WHERE name = 'statement_timeout';
