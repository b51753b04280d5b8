"""The Declarer: what the code says of queues and schedules, the store has."""

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
    """Declares limits and schedules: when the worker joins; when it has to join anew, since the
    store may have been restored from a backup; and when, of the workers of its owner that are left,
    it is the newest.

    Of two versions of the code the one whose worker was started last decides, as long as that
    lives. That a worker has come or gone is known from the answers to the Elector, which asks
    anyway.
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
        """Says what the code allows of its queues; raises MissingCapability."""
        for queue, limits in self._app.limits.items():
            require(self._app.backend, "limits")
            await self._line.insist(operations.declare_limits(queue, limits), on=TROUBLE)

    async def declare_schedules(self) -> None:
        """Says when the code wants which jobs; raises InvalidSchedule."""
        while True:
            try:
                return await self._schedules(self._line)
            except TROUBLE:
                await asyncio.sleep(0.1)

    async def declare_anew(self, line: AsyncOperationRunner) -> None:
        """Says both once more, by *line*; a schedule that cannot be is an error in the log."""
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
        """Is none of the workers with code of our owner younger than this one?"""
        workers = await self._line.execute(inspections.workers())
        ours = [each for each in workers if each.info.get("owner") == self._app.owner]
        newest = max(ours, key=lambda each: (each.started_at, each.id), default=None)
        return newest is not None and newest.id == self._listener.worker
