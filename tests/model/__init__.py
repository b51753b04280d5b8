"""Random histories on every store: `python -m tests.model --steps 100000`."""
