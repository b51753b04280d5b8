"""A connection that breaks is a store that is away, in every event loop's words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from pgqueue.backends.redis import RedisBackend
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import inspections
from tests.worker.process import eventually


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_transport_that_was_closed_is_a_store_that_is_away(
    backend: RedisBackend, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def ask() -> None:
        worker_connection = backend.worker_connection()
        await worker_connection.open()
        await worker_connection.execute(inspections.version())
        for connection in worker_connection.client.connection_pool._available_connections:
            connection._writer.transport.close()
        with pytest.raises(StoreUnavailable):
            await worker_connection.execute(inspections.queues())
        await worker_connection.open()
        assert await worker_connection.execute(inspections.version())
        await worker_connection.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(ask())


def test_a_loop_that_ends_gives_its_connections_back(backend: RedisBackend) -> None:
    client = backend.execute(inspections.version()) and backend._client
    assert client is not None
    before = len(client.client_list())
    for _ in range(5):
        asyncio.run(backend.execute_async(inspections.version()))

    eventually(lambda: len(client.client_list()) == before, within=5)
