"""What `app.jobs` and `app.schedules` are: acting on many jobs, on schedules."""
