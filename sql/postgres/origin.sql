-- origin: what this store is called by those who copy from it, whatever its address is today.
--
-- in:   nothing
-- out:  text: where and when it was made
SELECT concat_ws(' ', current_database(), 'pgqueue', to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'))
FROM pgqueue.migration
WHERE version = '0001';
