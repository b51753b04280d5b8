"""A job that a worker holds, from its claim to its end."""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from pgqueue.operations import ClaimedJob
from pgqueue.tasks.context import Context
from pgqueue.worker.running.slots import Slots


class Run(msgspec.Struct, eq=False):
    """A job in our runtime: waiting in the buffer, or running."""

    job: ClaimedJob
    slots: Slots
    number: int
    started_at: float = 0.0
    expires_at: float | None = None
    task: asyncio.Task[None] | None = None
    context: Context | None = None
    in_thread: bool = False
    asked_to_stop: bool = False
    lost: bool = False
    releasing: bool = False
    _completing: bool = False

    @property
    def completed(self) -> bool:
        """Whether the task has completed its job in a transaction of its own. Its code may still be
        running."""
        return self._completing or (self.context is not None and self.context.completed)

    def completes(self) -> None:
        """A process of the pool says that the task completes its job."""
        self._completing = True

    def stop(self) -> None:
        """Asks the code to stop: a coroutine is interrupted, a process is killed. A function in a
        thread can be neither; it goes on until it looks at `ctx.cancelled`."""
        if self.context is not None:
            self.context.cancel()
        if self.task is not None and not self.in_thread:
            self.task.cancel()


class Observer(Protocol):
    """Is told what becomes of runs."""

    def ends(self, run: Run) -> None:
        """The ending of *run* goes to the store."""

    def lost(self) -> None:
        """A job that had not ended here is another worker's by now."""
