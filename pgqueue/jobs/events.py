"""What happens to jobs, for handlers of `@app.on`: told once the store has confirmed it.

    @app.on(JobDiscarded)
    def page_somebody(event: JobDiscarded) -> None: ...

An event is told at most once, in the worker where the attempt ended: one that is killed in between
tells nobody. Who must not miss a dead letter asks the store for it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pgqueue.jobs.shown import Shown


class JobEvent(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """An attempt of a job has ended, and the store knows it.

    *attempt* is its number; *reason* says why, in one text: the error of the attempt, or what the
    task gave.
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
