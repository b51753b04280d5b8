"""The contract of everything that runs in the background of a worker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from typing import TypeVar

from pgqueue.errors import StoreBusy, StoreUnavailable
from pgqueue.worker.failures import OutOfTime

T = TypeVar("T")

log = logging.getLogger("pgqueue.worker")


async def happens(event: asyncio.Event, seconds: float | None) -> None:
    """Returns when *event* is set, or after *seconds*.

    `asyncio.wait_for` before Python 3.12 swallows a cancellation that comes together with the
    event: a service would never stop.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def within(seconds: float | None, work: Awaitable[T]) -> T:
    """What *work* answers. Raises OutOfTime, having cancelled it, when that takes longer."""
    if seconds is None:
        return await work
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise OutOfTime(f"it took longer than its timeout of {seconds:g} s") from None
        raise


class Service:
    """Runs until it is stopped; may be stopped twice, or without having been started.

    A lost connection ends one turn of *run*, not the service. An error of our own is logged, with
    its traceback, and the service goes on a second later: a worker never needs a restart.
    """

    _task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """One turn; returns when the service is done for good."""
        raise AssertionError(f"{type(self).__name__} runs nothing")

    def start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._turns(), name=type(self).__name__)

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})  # not its CancelledError: ours would look the same

    async def _turns(self) -> None:
        while True:
            try:
                await self.run()
                return
            except StoreUnavailable:
                await asyncio.sleep(0.1)  # the connection itself waits for longer
            except StoreBusy as busy:
                log.debug("%s: %s", type(self).__name__, busy)
                await asyncio.sleep(0.5)
            except Exception:
                log.exception("%s failed; it goes on in a second", type(self).__name__)
                await asyncio.sleep(1)
