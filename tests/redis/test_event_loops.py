"""A connection that breaks is a store that is away, in every event loop's words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from pgqueue import inspections
from pgqueue.backends.redis import RedisBackend
from pgqueue.errors import StoreUnavailable


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_transport_that_was_closed_is_a_store_that_is_away(
    backend: RedisBackend, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def ask() -> None:
        lane = backend.lane()
        await lane.open()
        await lane.execute(inspections.version())
        for connection in lane.client.connection_pool._available_connections:
            connection._writer.transport.close()
        with pytest.raises(StoreUnavailable):
            await lane.execute(inspections.queues())
        await lane.open()
        assert await lane.execute(inspections.version())
        await lane.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(ask())
