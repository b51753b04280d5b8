"""The timeout of an attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from pgqueue.worker.running.failures import OutOfTime

T = TypeVar("T")


async def within(seconds: float | None, work: Awaitable[T]) -> T:
    """Returns the result of *work*. If it takes longer, cancels it and raises OutOfTime."""
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
