"""A worker on a store that sends no messages and knows no sessions."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pgqueue.worker.line import Health
from pgqueue.worker.listener import Listener
from tests.toy.backend import ToyBackend


async def test_looks_again_and_again_where_nothing_can_wake_it(tmp_path: Path) -> None:
    looks: asyncio.Queue[str | None] = asyncio.Queue()
    listener = Listener(
        ToyBackend(f"toy://{tmp_path}/fresh"), {}, Health(), looks.put_nowait, looks.put_nowait
    )
    listener.sleep_on("default")
    running = asyncio.create_task(listener.run())
    try:
        async with asyncio.timeout(10):
            assert [await looks.get() for _ in range(4)] == ["default"] * 4
    finally:
        running.cancel()
