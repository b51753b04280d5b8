"""The Declarer: tells the store the limits and schedules that the code declares."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pgqueue import operations
from pgqueue.backends.base import AsyncOperationRunner
from pgqueue.backends.capabilities import require
from pgqueue.backends.plans import carry_out_async
from pgqueue.errors import InvalidSchedule
from pgqueue.operations import inspections
from pgqueue.worker.agents.listener import Listener
from pgqueue.worker.connection import TROUBLE, ReconnectingConnection
from pgqueue.worker.service import Service, log

if TYPE_CHECKING:
    from pgqueue.app import App


class Declarer(Service):
    """Declares limits and schedules: when the worker joins; when it joins anew, since the store may
    have been restored from a backup; and when newer workers of its owner have left, so that it is
    the newest now.

    Where workers run two versions of the code, the worker started last decides, as long as it
    lives. The answers to the Elector, which asks anyway, show that a worker has come or gone.
    """

    def __init__(self, line: ReconnectingConnection, listener: Listener, app: App) -> None:
        self._line = line
        self._listener = listener
        self._app = app
        self._others_changed = asyncio.Event()

    def others_changed(self) -> None:
        """A worker has come or gone."""
        self._others_changed.set()

    async def run(self) -> None:
        if not (self._app.declared or self._app.limits):
            return
        while True:
            await self._others_changed.wait()
            self._others_changed.clear()
            if await self._is_newest():
                await self.declare_anew(self._line)

    async def declare_limits(self) -> None:
        """Declares the limits of queues; raises MissingCapability."""
        for queue, limits in self._app.limits.items():
            require(self._app.backend, "limits")
            await self._line.insist(operations.declare_limits(queue, limits), on=TROUBLE)

    async def declare_schedules(self) -> None:
        """Declares the schedules; raises InvalidSchedule."""
        while True:
            try:
                return await self._schedules(self._line)
            except TROUBLE:
                await asyncio.sleep(0.1)

    async def declare_anew(self, line: AsyncOperationRunner) -> None:
        """Declares both again on *line*; an invalid schedule is only logged as an error."""
        for queue, limits in self._app.limits.items():
            await line.execute(operations.declare_limits(queue, limits))
        try:
            await self._schedules(line)
        except InvalidSchedule as error:
            log.error("schedules are not declared: %s", error)

    async def _schedules(self, line: AsyncOperationRunner) -> None:
        declared = self._app.declared.values()
        if not declared:
            return
        if self._app.owner is None:
            raise InvalidSchedule("nobody knows whose schedules these are: App(name=...) says it")
        written = await carry_out_async(operations.declare(declared, self._app.owner), line.execute)
        if written:
            log.info("schedules written: %s", ", ".join(written))
        for name, fields in written.items():
            if fields:
                log.warning(
                    "schedule %s: the code says another %s now; what was changed while it ran is "
                    "dropped",
                    *(name, ", ".join(fields)),
                )

    async def _is_newest(self) -> bool:
        """Was no worker of the same owner started later than this one?"""
        workers = await self._line.execute(inspections.workers())
        ours = [each for each in workers if each.info.get("owner") == self._app.owner]
        newest = max(ours, key=lambda each: (each.started_at, each.id), default=None)
        return newest is not None and newest.id == self._listener.worker
