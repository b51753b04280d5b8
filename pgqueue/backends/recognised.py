"""What `recognise` answers: a connection's store, and how to get at its driver's connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Recognised(NamedTuple):
    """A connection that leads to *store*.

    *driver* returns the driver's own, or one of `pgqueue.backends.borrowing`, with its transaction
    begun; await it if *is_async*. *bridged*: the caller's connection is blocking, but the driver's
    is asyncio's, as inside `AsyncSession.run_sync`.
    """

    store: str
    is_async: bool
    driver: Callable[[], Any]
    bridged: bool = False

    def entered(self) -> Recognised:
        """Return this with the driver's connection found now, and a *driver* that is awaited."""
        driver = self.driver()
        return self._replace(is_async=True, driver=lambda: itself(driver))


async def itself(connection: Any) -> Any:
    """Return *connection*, for a `Recognised.driver` that is awaited."""
    return connection


def name_of(value: object) -> str:
    """Return the dotted name of *value*'s type."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"
