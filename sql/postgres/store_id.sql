-- store_id: the store's identity for copies; its address may change.
--
-- in:   nothing
-- out:  text: where and when it was made, or adopted
SELECT coalesce(
    (SELECT store_id FROM pgqueue.home),
    (SELECT concat_ws(' ', current_database(), 'pgqueue', to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'))
     FROM pgqueue.migration
     WHERE version = '0001'));
