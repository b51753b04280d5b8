"""Events of jobs for handlers of `@app.on`, which are called once the store has confirmed them.

    @app.on(JobDiscarded)
    def page_somebody(event: JobDiscarded) -> None: ...

Handlers get an event at most once, in the worker where the attempt ended: if that is killed in
between, they get none. Code that must not miss a dead letter asks the store for it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pgqueue.jobs.shown import Shown


class JobEvent(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """An attempt of a job has ended, and the store knows it.

    *attempt* is its number; *reason* says why it ended: the error of the attempt, or the task's own
    reason.
    """

    id: int
    task: str
    queue: str
    attempt: int
    max_attempts: int
    reason: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] | None = None
    workflow: int | None = None


class JobCompleted(JobEvent, frozen=True, kw_only=True):
    """The job is done."""


class JobRetried(JobEvent, frozen=True, kw_only=True):
    """The attempt failed, and there will be another."""


class JobDiscarded(JobEvent, frozen=True, kw_only=True):
    """The job is a dead letter: out of attempts, discarded by its task or its retry policy, or
    taken from workers that died with it."""


class JobWasCancelled(JobEvent, frozen=True, kw_only=True):
    """The job was running and is cancelled: somebody asked for it, or its task did."""
