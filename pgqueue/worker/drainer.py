"""The Drainer: ends a worker that was started to empty its queues."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from pgqueue import operations
from pgqueue.worker.completer import Completer
from pgqueue.worker.executor import Executor
from pgqueue.worker.fetcher import Fetcher
from pgqueue.worker.line import Line
from pgqueue.worker.service import Service


class Drainer(Service):
    """Calls *dry* when nothing is left that could run now.

    That is so when what is due has been promoted and no queue had a job, all asked after our last
    outcome was durable: it may have made a child available.
    """

    def __init__(
        self,
        line: Line,
        fetcher: Fetcher,
        executor: Executor,
        completer: Completer,
        dry: Callable[[], None],
    ) -> None:
        self._line = line
        self._fetcher = fetcher
        self._executor = executor
        self._completer = completer
        self._dry = dry

    async def run(self) -> None:
        while True:
            taken = self._fetcher.taken
            await self._executor.finish()
            await self._completer.finish()
            while (await self._line.execute(operations.promote())).next_due == timedelta(0):
                pass
            await self._fetcher.look_everywhere()
            if self._fetcher.taken == taken:
                return self._dry()
