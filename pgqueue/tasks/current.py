"""Which job runs here, for log records and spans: in its coroutine, its thread, its process."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from pgqueue.jobs import carrying

if TYPE_CHECKING:
    from pgqueue.tasks.runtime import RunningJob

job: Final[ContextVar[RunningJob | None]] = ContextVar("pgqueue_job", default=None)
worker: Final[ContextVar[Callable[[], int] | None]] = ContextVar("pgqueue_worker", default=None)
"""Says which worker this is: it is another one after the store has gone back under it."""


def enter(running: RunningJob) -> None:
    """From now on *running* runs in this context, with the variables that it carries."""
    job.set(running)
    if carrying.variables:
        carrying.restore(running.metadata)


def worker_id() -> int | None:
    """Return the id of the worker that runs this; None where no worker does."""
    known = worker.get()
    return None if known is None else known()
