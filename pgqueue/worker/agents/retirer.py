"""The Retirer: ends a worker that has had as many jobs as it was to have."""

from __future__ import annotations

from collections.abc import Callable

from pgqueue.worker.agents.completer import Completer
from pgqueue.worker.agents.fetcher import Fetcher
from pgqueue.worker.running.executor import Executor
from pgqueue.worker.service import Service


class Retirer(Service):
    """Calls *done* when the last of its jobs has ended, however long that takes."""

    def __init__(
        self,
        fetcher: Fetcher,
        executor: Executor,
        completer: Completer,
        done: Callable[[], None],
    ) -> None:
        self._fetcher = fetcher
        self._executor = executor
        self._completer = completer
        self._done = done

    async def run(self) -> None:
        await self._fetcher.enough.wait()
        await self._executor.finish()
        await self._completer.finish()
        self._done()
