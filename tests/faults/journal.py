"""The journal: what tasks did, in a file that no store knows of.

Each line is written at once and whole, so it survives a kill of its writer. Instants are those of
the machine's monotonic clock, which all processes share and nobody can set.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Literal

VARIABLE = "FAULTS_JOURNAL"
WORKER_VARIABLE = "FAULTS_WORKER"
What = Literal[
    "claimed",  # not a run: a worker has claimed the job, and runs it when it has a free place
    "start",  # a run begins
    "had",  # its arguments have the edit whose number is *key*
    "end",  # it is about to return its result
    "failed",  # it fails, as its arguments ask
    "snoozed",  # it asks to run again later, as its arguments ask
    "discarded",  # it discards its job, as its arguments ask
    "cancelled",  # it cancels its job, as its arguments ask
    "interrupted",  # somebody stopped it
    "broke",  # it failed, and its arguments did not ask for it
    "stalled",  # not a run: for *seconds* the process was not given the processor
]


@dataclass(frozen=True, slots=True)
class Line:
    """*run* is a name no other run has; *key* is the order that the job was enqueued for."""

    at: float
    what: What
    worker: str
    run: str
    job: int
    key: int
    executor: str
    seconds: float = 0.0


def write(
    what: What, run: str = "-", job: int = 0, key: int = 0, executor: str = "-", seconds: float = 0
) -> None:
    worker = os.environ.get(WORKER_VARIABLE, "-")
    line = f"{monotonic():.6f} {what} {worker} {run} {job} {key} {executor} {seconds:.3f}\n"
    journal = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(journal, line.encode())
    finally:
        os.close(journal)


def read(path: Path) -> list[Line]:
    """All lines, by time."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text().splitlines():
        at, what, worker, run, job, key, executor, seconds = text.split()
        lines.append(
            Line(
                float(at),
                what,  # type: ignore[arg-type]
                worker,
                run,
                int(job),
                int(key),
                executor,
                float(seconds),
            )
        )
    return sorted(lines, key=lambda line: line.at)
