"""A cancellation is never lost, or a worker that is told to stop would go on for ever."""

from __future__ import annotations

import asyncio

import pytest

from pgqueue.backends.redis import RedisBackend
from pgqueue.backends.redis.session import RedisSession
from pgqueue.backends.redis.worker_connection import RedisWorkerConnection
from pgqueue.operations import inspections

TURNS = 40  # of the event loop: more than one question takes


@pytest.mark.parametrize("way", ["worker_connection", "pool", "session", "opening"])
async def test_a_service_stops_whenever_it_is_told_to(backend: RedisBackend, way: str) -> None:
    """redis-py sends with a time limit, and before Python 3.12 that swallows a cancellation which
    comes in the moment when all has been sent."""
    lost = []
    for turns in range(TURNS):
        worker_connection = backend.worker_connection()
        session = backend.session(lambda topic: None, lambda: None)
        await worker_connection.open()
        await session.open()
        asking = asyncio.create_task(_ask_for_ever(way, backend, worker_connection, session))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking}, timeout=1)
        if not asking.done() or not asking.cancelled():
            lost.append(turns)
            asking.cancel()
            await asyncio.wait({asking})
        await session.close()
        await worker_connection.close()
        await backend.close_async()
    assert lost == []


async def _ask_for_ever(
    way: str, backend: RedisBackend, worker_connection: RedisWorkerConnection, session: RedisSession
) -> None:
    while True:
        match way:
            case "worker_connection":
                await worker_connection.execute(inspections.version())
            case "pool":
                await backend.execute_async(inspections.version())
            case "session":
                await session.check()
            case "opening":
                await worker_connection.open()
