-- unschedule: deletes schedules and the history of their instants; jobs that they have made stay.
--
-- in:   names JSON array of text
-- out:  name of each that was there
-- walks: the primary keys
DELETE FROM pgqueue_firing WHERE schedule IN (SELECT value FROM json_each(:names));

DELETE FROM pgqueue_schedule WHERE name IN (SELECT value FROM json_each(:names)) RETURNING name;
