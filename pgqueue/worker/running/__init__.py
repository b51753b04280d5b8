"""How a job's code is run: coroutine, thread or process."""
