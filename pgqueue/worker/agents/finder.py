"""The Finder: queues that appear while we work, where a pattern means them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from pgqueue.operations import inspections
from pgqueue.worker.agents.fetcher import Fetcher
from pgqueue.worker.connection import ReconnectingConnection
from pgqueue.worker.options import Options
from pgqueue.worker.service import Service, log

LOOK_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 600.0


class Finder(Service):
    """Looks every second which queues have jobs that wait, and serves those that a pattern means.

    The queues of the application's own tasks are served from the start, and always.

    A queue that has had no job for ten minutes is no longer served, until it has one. *profile*
    says which queues we serve; *changed* is called when that has changed.
    """

    def __init__(
        self,
        line: ReconnectingConnection,
        fetcher: Fetcher,
        options: Options,
        profile: dict[str, Any],
        changed: Callable[[], None],
    ) -> None:
        self._line = line
        self._fetcher = fetcher
        self._options = options
        self._profile = profile
        self._served: list[str] = profile["queues"]
        self._changed = changed
        self._found: set[str] = set()

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once."""
        queues = await self._line.execute(inspections.queues())
        meant = self._options.matching(queue.name for queue in queues if queue.waits)
        known = self._found.union(self._served)
        new = {name: limit for name, limit in meant.items() if name not in known}
        old = (self._found & self._fetcher.idle(IDLE_SECONDS)) - meant.keys()
        if new:
            log.info("serving %s, too", ", ".join(sorted(new)))
            self._fetcher.serve(new)
        if old:
            self._fetcher.leave(old)
        if new or old:
            self._found = (self._found | new.keys()) - old
            self._profile["queues"] = [*self._served, *sorted(self._found)]
            self._changed()
