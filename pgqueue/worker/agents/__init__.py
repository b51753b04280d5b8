"""The agents of a worker: each does one thing, in the background."""
