-- 0002_archived_args: the archive stores arguments as they come, and does not try to compress them again.
--
-- Arguments that can be compressed were compressed when the job was enqueued, and stay so. To try again with the others
-- cost 0.5 ms for 32 kB, in the statement that completes the job.

ALTER TABLE pgqueue.archive ALTER args SET STORAGE EXTERNAL;

INSERT INTO pgqueue.migration (version) VALUES ('0002');
