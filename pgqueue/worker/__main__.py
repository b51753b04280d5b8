"""`python -m pgqueue.worker APP`: the same as `pgqueue worker APP`."""

from __future__ import annotations

from pgqueue.cli.worker import worker

if __name__ == "__main__":
    worker.main(prog_name="python -m pgqueue.worker")
