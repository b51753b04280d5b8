"""What the processes of a supervisor tell it of themselves, so that one port answers for all.

A process sends a line of JSON each half second: how it is, and what it has counted since the one
before, as totals. So what a process had counted outlives it, but for the last half second of one
that is killed. A line from the supervisor asks for the store's figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from time import monotonic
from typing import Final

import msgspec

from pgqueue.jobs.tally import Figures, Series
from pgqueue.views.metrics import StoreFigures
from pgqueue.worker.telemetry.meter import Meter
from pgqueue.worker.telemetry.store import PATIENCE_SECONDS, StoreMeter
from pgqueue.worker.telemetry.vitals import Vitals

REPORT_SECONDS: Final = 0.5
LAST_SECONDS: Final = 1.0  # to read what a process said before it ended


class Report(msgspec.Struct, omit_defaults=True):
    """How a process is, *unready*: why it does not work; or what it was asked of the *store*."""

    unready: str | None = None
    figures: Figures | None = None
    store: StoreFigures | None = None
    answers: bool = False


class Relay:
    """The way from a process to its supervisor, which hears of it for as long as the event loop
    turns."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._sending = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, vitals: Vitals, meter: Meter, store: StoreMeter) -> None:
        self._tasks = [
            asyncio.create_task(self._report(vitals, meter), name="Relay"),
            asyncio.create_task(self._answer(store), name="Relay"),
        ]
        self._last = (vitals, meter)

    async def stop(self) -> None:
        """Says the last, and no more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._say_how(*self._last)
        self._socket.close()

    async def _report(self, vitals: Vitals, meter: Meter) -> None:
        with contextlib.suppress(OSError):  # the supervisor is gone, and so are we in a moment
            while True:
                await self._say_how(vitals, meter)
                await asyncio.sleep(REPORT_SECONDS)

    async def _answer(self, store: StoreMeter) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while await loop.sock_recv(self._socket, 4096):
                found = await asyncio.to_thread(store.figures)
                await self._say(Report(store=found, answers=True))

    async def _say_how(self, vitals: Vitals, meter: Meter) -> None:
        await self._say(Report(vitals.unready(), meter.changes()))

    async def _say(self, report: Report) -> None:
        async with self._sending:
            line = msgspec.json.encode(report) + b"\n"
            await asyncio.get_running_loop().sock_sendall(self._socket, line)


class Link:
    """The supervisor's end: what a process has said."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._reading: asyncio.Task[None] | None = None
        self._series: dict[tuple[str, str], Series] = {}
        self._figures = Figures()
        self._store: asyncio.Future[StoreFigures | None] | None = None
        self.report: Report | None = None
        self.reported_at = 0.0

    def started(self) -> None:
        """The process has its end."""
        self.theirs.close()
        self._reading = asyncio.create_task(self._read(), name="Link")

    async def ended(self) -> None:
        """The process is gone. What it has said is read to the end."""
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=LAST_SECONDS)
            self._reading.cancel()
            await asyncio.wait({self._reading})

    def figures(self) -> Figures:
        """All that the process has counted, and how it is."""
        return msgspec.structs.replace(self._figures, series=list(self._series.values()))

    async def store(self) -> StoreFigures | None:
        """What the process finds in the store. Raises TimeoutError, OSError."""
        if self._store is None:
            loop = asyncio.get_running_loop()
            self._store = loop.create_future()
            await loop.sock_sendall(self._ours, b"\n")
        async with asyncio.timeout(PATIENCE_SECONDS + REPORT_SECONDS):
            return await asyncio.shield(self._store)

    async def _read(self) -> None:
        loop, rest = asyncio.get_running_loop(), b""
        with contextlib.suppress(OSError), contextlib.closing(self._ours):
            while data := await loop.sock_recv(self._ours, 1 << 20):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._hear(msgspec.json.decode(line, type=Report))

    def _hear(self, report: Report) -> None:
        if report.answers:
            answered, self._store = self._store, None
            if answered is not None and not answered.done():
                answered.set_result(report.store)
            return
        self.report, self.reported_at = report, monotonic()
        if report.figures is not None:
            self._figures = report.figures
            for series in report.figures.series:
                self._series[series.queue, series.task] = series
