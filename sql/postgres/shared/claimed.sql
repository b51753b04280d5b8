-- claimed: the columns of the job *j* that was claimed, as `claim` answers them.
j.id, j.priority, j.position, j.attempt, j.task, j.args::text, j.max_attempts, j.timeout_seconds,
date_part('epoch', j.run_at) AS run_at, j.rescues, j.progress::text, j.metadata::text, j.tags, j.workflow, j.queue,
j.key, extract(epoch FROM j.expires_at - j.claimed_at)::float8 AS expires_in
