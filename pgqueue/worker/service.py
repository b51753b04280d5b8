"""The contract of everything that runs in the background of a worker."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from pgqueue.errors import StoreBusy, StoreUnavailable

log = logging.getLogger("pgqueue.worker")


async def happens(event: asyncio.Event, seconds: float | None) -> None:
    """Returns when *event* is set, or after *seconds*.

    Not by `asyncio.wait_for`: before Python 3.12 it swallows a cancellation that comes together
    with the event, and a service would never stop.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class Service:
    """Runs until it is stopped; may be stopped twice, or without having been started.

    A lost connection ends one turn of *run*, and the next begins. After any other error the next
    turn begins a second later, and the traceback is logged: a worker never needs a restart for a
    bug of ours.
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
            # Not `await task`: its CancelledError would look as if we had been cancelled ourselves.
            await asyncio.wait({task})

    async def _turns(self) -> None:
        while True:
            try:
                await self.run()
                return
            except StoreUnavailable:
                await asyncio.sleep(0.1)  # short: opening the connection again has its own waits
            except StoreBusy as busy:
                log.debug("%s: %s", type(self).__name__, busy)
                await asyncio.sleep(0.5)
            except Exception:
                log.exception("%s failed; it goes on in a second", type(self).__name__)
                await asyncio.sleep(1)
