"""What `app.jobs`, `app.queues` and `app.schedules` are: acting on jobs, queues and schedules."""
