-- 0002_archived_args: arguments come to the archive as they are, and are not compressed once more.
--
-- What could be made smaller was when the job was enqueued, and stays so. To try it again with what could not
-- cost 0.5 ms for 32 kB, in the statement that completes the job.

ALTER TABLE pgqueue.archive ALTER args SET STORAGE EXTERNAL;

INSERT INTO pgqueue.migration (version) VALUES ('0002');
