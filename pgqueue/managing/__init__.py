"""`app.jobs`, `app.queues` and `app.schedules`: acting on jobs, queues and schedules."""
