"""A cancellation is never lost, or a worker that is told to stop would go on for ever."""

from __future__ import annotations

import asyncio

import pytest

from pgqueue import inspections
from pgqueue.backends.redis import RedisBackend
from pgqueue.backends.redis.lane import RedisLane
from pgqueue.backends.redis.session import RedisSession

TURNS = 40  # of the event loop: more than one question takes


@pytest.mark.parametrize("way", ["lane", "pool", "session", "opening"])
async def test_a_service_stops_whenever_it_is_told_to(backend: RedisBackend, way: str) -> None:
    """redis-py sends with a time limit, and before Python 3.12 that swallows a cancellation which
    comes in the moment when all has been sent."""
    lost = []
    for turns in range(TURNS):
        lane = backend.lane()
        session = backend.session(lambda topic: None, lambda: None)
        await lane.open()
        await session.open()
        asking = asyncio.create_task(_ask_for_ever(way, backend, lane, session))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking}, timeout=1)
        if not asking.done() or not asking.cancelled():
            lost.append(turns)
            asking.cancel()
            await asyncio.wait({asking})
        await session.close()
        await lane.close()
        await backend.close_async()
    assert lost == []


async def _ask_for_ever(
    way: str, backend: RedisBackend, lane: RedisLane, session: RedisSession
) -> None:
    while True:
        match way:
            case "lane":
                await lane.execute(inspections.version())
            case "pool":
                await backend.execute_async(inspections.version())
            case "session":
                await session.check()
            case "opening":
                await lane.open()
