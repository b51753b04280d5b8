-- hold: which of these jobs exist, so that a child can be added to them.
--
-- in:   ids    JSON array of job ids
-- out:  id of each that exists, live or in the archive
-- trap: nothing is locked: the transaction that adds the child is the only one that writes.
SELECT id FROM pgqueue_job WHERE id IN (SELECT value FROM json_each(:ids))
UNION ALL
SELECT id FROM pgqueue_archive WHERE id IN (SELECT value FROM json_each(:ids));
