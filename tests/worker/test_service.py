"""What every agent of a worker can rely on: it is started and stopped, at any moment."""

from __future__ import annotations

import asyncio

import pytest

from pgqueue.worker.service import Service


class Duty(Service):
    """Takes its time to stop."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.stopping = asyncio.Event()
        self.may_end = asyncio.Event()

    async def run(self) -> None:
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopping.set()
            await self.may_end.wait()


class Superior(Service):
    """Stops another one, and would then go on."""

    def __init__(self, duty: Duty) -> None:
        self.duty = duty

    async def run(self) -> None:
        self.duty.start()
        await self.duty.started.wait()
        await self.duty.stop()
        await asyncio.Event().wait()


async def test_stops_while_it_is_stopping_another() -> None:
    duty = Duty()
    superior = Superior(duty)
    superior.start()
    await duty.stopping.wait()

    stopped, _ = await asyncio.wait({asyncio.create_task(superior.stop())}, timeout=5)
    assert stopped
    duty.may_end.set()


async def test_may_be_stopped_twice_and_without_having_been_started() -> None:
    duty = Duty()
    await duty.stop()
    duty.start()
    await duty.started.wait()
    duty.may_end.set()
    await duty.stop()
    await duty.stop()


async def test_a_stop_that_is_cancelled_says_so() -> None:
    duty = Duty()
    duty.start()
    await duty.started.wait()
    stopping = asyncio.create_task(duty.stop())
    await duty.stopping.wait()
    stopping.cancel()

    with pytest.raises(asyncio.CancelledError):
        await stopping
    duty.may_end.set()
