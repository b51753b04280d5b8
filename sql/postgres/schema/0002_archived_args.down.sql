-- 0002_archived_args, undone: the archive compresses arguments as other tables do.

ALTER TABLE pgqueue.archive ALTER args SET STORAGE EXTENDED;

DELETE FROM pgqueue.migration WHERE version = '0002';
