"""Objects of which each event loop has its own, closed when the loop ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One object for each event loop, closed by *closes* when the loop ends.

    Whoever ends a loop properly, as asyncio.run does, first cancels all its tasks and waits for
    them. So a task of ours waits to be cancelled, and then calls *closes*. That also ends the tasks
    of psycopg's pools, which swallow a cancellation while they connect: asyncio.run would wait for
    them for ever. Where a loop was closed without cancelling its tasks, the next loop notices, and
    calls *goes*, which must work without a loop.
    """

    def __init__(
        self, closes: Callable[[T], Awaitable[object]], goes: Callable[[T], object]
    ) -> None:
        self._closes = closes
        self._goes = goes
        self._things: dict[asyncio.AbstractEventLoop, tuple[T, asyncio.Task[None]]] = {}

    def get(self) -> T | None:
        """Return the running loop's own, if it has one."""
        held = self._things.get(asyncio.get_running_loop())
        return None if held is None else held[0]

    def put(self, thing: T) -> T:
        """Make *thing* the running loop's own."""
        for loop in list(self._things):
            if loop.is_closed() and (left := self._things.pop(loop, None)) is not None:
                self._goes(left[0])
        loop = asyncio.get_running_loop()
        end = loop.create_task(self._end_with(loop, thing), name="pgqueue-end")
        self._things[loop] = thing, end
        return thing

    async def close(self) -> None:
        """Close the running loop's own."""
        held = self._things.get(asyncio.get_running_loop())
        if held is not None:
            await asyncio.sleep(0)  # cancelled before its begin it would not call *closes*
            held[1].cancel()
            await asyncio.wait({held[1]})

    async def _end_with(self, loop: Any, thing: T) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:  # not GeneratorExit, of a loop that was only dropped
            self._things.pop(loop, None)
            await self._closes(thing)
            raise
