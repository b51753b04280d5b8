-- 0004_trust: what a store needs so that nothing is lost, done twice, or stopped by one row.

-- What the store remembers of where it is. One row, which the first worker writes, and `pgqueue adopt`.
CREATE TABLE pgqueue_home (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    place       TEXT NOT NULL,
    environment TEXT,
    CHECK (length(environment) BETWEEN 1 AND 128)
);

-- When a job was due first that workers hand back because they do not know its task.
ALTER TABLE pgqueue_job ADD COLUMN due_at INTEGER;

INSERT INTO pgqueue_migration (version) VALUES ('0004');
