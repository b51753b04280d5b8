"""A job that a worker holds, from its claim to its end."""

from __future__ import annotations

import asyncio

import msgspec

from pgqueue.context import Context
from pgqueue.operations import ClaimedJob


class Run(msgspec.Struct, eq=False):
    """A job in our hands: waiting in the buffer, or running."""

    job: ClaimedJob
    task: asyncio.Task[None] | None = None
    context: Context | None = None
    in_thread: bool = False
    asked_to_stop: bool = False
    lost: bool = False
    releasing: bool = False
    _completing: bool = False

    @property
    def completed(self) -> bool:
        """Has the task completed its job, in a transaction of its own, and may be going on?"""
        return self._completing or (self.context is not None and self.context.completed)

    def completes(self) -> None:
        """It does so in another process."""
        self._completing = True

    def stop(self) -> None:
        """Asks the code to stop: a coroutine is interrupted, a process killed. A function has to
        look, and until it does its job goes on."""
        if self.context is not None:
            self.context.cancel()
        if self.task is not None and not self.in_thread:
            self.task.cancel()
