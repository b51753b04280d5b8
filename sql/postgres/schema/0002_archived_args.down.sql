-- 0002_archived_args, undone: arguments are compressed in the archive as elsewhere.

ALTER TABLE pgqueue.archive ALTER args SET STORAGE EXTENDED;

DELETE FROM pgqueue.migration WHERE version = '0002';
