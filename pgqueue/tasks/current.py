"""The job that runs in this coroutine, thread or process, for log records and spans."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from pgqueue.jobs import carrying

if TYPE_CHECKING:
    from pgqueue.tasks.runtime import RunningJob

job: Final[ContextVar[RunningJob | None]] = ContextVar("pgqueue_job", default=None)
worker: Final[ContextVar[Callable[[], int] | None]] = ContextVar("pgqueue_worker", default=None)
"""Returns this worker's id, which changes when the store was restored to an older state."""


def enter(running: RunningJob) -> None:
    """Note that *running* runs in this context from now on, with the variables that it carries."""
    job.set(running)
    if carrying.variables:
        carrying.restore(running.metadata)


def worker_id() -> int | None:
    """Return the id of the worker that runs this; None where no worker does."""
    known = worker.get()
    return None if known is None else known()
