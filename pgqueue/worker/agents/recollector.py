"""The Recollector: hands back jobs that the store holds for us and nobody here knows of."""

from __future__ import annotations

import asyncio
from time import monotonic

from pgqueue import operations
from pgqueue.operations import Released
from pgqueue.worker.agents.completer import Completer
from pgqueue.worker.agents.fetcher import Fetcher
from pgqueue.worker.agents.listener import Listener
from pgqueue.worker.connection import ReconnectingConnection
from pgqueue.worker.running.executor import Executor
from pgqueue.worker.service import Service, log

LOOK_SECONDS = 30.0
AGAIN_SECONDS = 2.0
SHARE = 200  # a look reads the live table: at most 1/SHARE of the time is spent on that


class Recollector(Service):
    """Asks the store which jobs are ours, and hands back those that nobody here knows of.

    Whatever lost a claim's answer, the job would otherwise stay ours for ever: nobody runs it, and
    nobody rescues it from a worker that lives. A job is handed back when it is seen for the second
    time, as one that ends while we ask may still be in the answer. It is not run here: perhaps we
    cannot read it.
    """

    def __init__(
        self,
        line: ReconnectingConnection,
        listener: Listener,
        fetcher: Fetcher,
        executor: Executor,
        completer: Completer,
    ) -> None:
        self._line = line
        self._listener = listener
        self._fetcher = fetcher
        self._executor = executor
        self._completer = completer
        self._strange: set[tuple[int, int]] = set()

    async def run(self) -> None:
        cost = 0.0
        while True:
            await asyncio.sleep(max(AGAIN_SECONDS if self._strange else LOOK_SECONDS, SHARE * cost))
            began = monotonic()
            held = await self._line.execute(operations.recollect(self._listener.worker))
            cost = monotonic() - began
            strange = {name for name in held if not self._knows(*name)}
            for id, lease in sorted(strange & self._strange):
                log.warning("job %d: nobody here had heard that it is ours; it is handed back", id)
                self._fetcher.forget(lease)
                self._completer.add(Released(id, lease))
            self._strange = strange - self._strange

    def _knows(self, id: int, lease: int) -> bool:
        return (
            self._executor.holds(id, lease)
            or self._completer.owes(id, lease)
            or self._fetcher.awaits(lease)
        )
