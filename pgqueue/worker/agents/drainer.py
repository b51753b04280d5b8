"""The Drainer: ends a worker that was started to empty its queues."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from pgqueue import operations
from pgqueue.worker.agents.completer import Completer
from pgqueue.worker.agents.fetcher import Fetcher
from pgqueue.worker.connection import ReconnectingConnection
from pgqueue.worker.running.executor import Executor
from pgqueue.worker.service import Service


class Drainer(Service):
    """Calls *dry* when nothing is left that could run now.

    That is so when everything due has been promoted and after that no queue had a job. Both are
    asked only after our last outcome is durable, as it may have made a child available. *find*
    looks for queues that are not served yet.
    """

    def __init__(
        self,
        line: ReconnectingConnection,
        fetcher: Fetcher,
        executor: Executor,
        completer: Completer,
        dry: Callable[[], None],
        find: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._line = line
        self._fetcher = fetcher
        self._executor = executor
        self._completer = completer
        self._dry = dry
        self._find = find

    async def run(self) -> None:
        while True:
            taken = self._fetcher.taken
            await self._executor.finish()
            await self._completer.finish()
            while (await self._line.execute(operations.promote())).next_due == timedelta(0):
                pass
            if self._find is not None:
                await self._find()
            await self._fetcher.look_everywhere()
            if self._fetcher.taken == taken:
                return self._dry()
