-- 0004_trust: what a store needs so that nothing is lost or done twice, and no single row stops the others.

-- The place that the store has noted: one row, written by the first worker, and by `pgqueue adopt`.
CREATE TABLE pgqueue_home (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    place       TEXT NOT NULL,
    environment TEXT,
    CHECK (length(environment) BETWEEN 1 AND 128)
);

-- *due_at*: when a job was first due that workers hand back because they do not know its task.
ALTER TABLE pgqueue_job ADD COLUMN due_at INTEGER;

INSERT INTO pgqueue_migration (version) VALUES ('0004');
