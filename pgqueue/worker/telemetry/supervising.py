"""How a supervisor's processes are, all together; and what they have counted, those before too."""

from __future__ import annotations

import asyncio
from time import monotonic

from pgqueue.jobs.tally import Figures, added
from pgqueue.views.metrics import StoreFigures
from pgqueue.worker.telemetry import vitals
from pgqueue.worker.telemetry.exposition import exposition
from pgqueue.worker.telemetry.relay import Link
from pgqueue.worker.telemetry.store import PATIENCE_SECONDS


class SupervisorVitals:
    """Those of a supervisor: it lives while no process of its own has fallen silent, and works
    while all of them do."""

    def __init__(self, processes: int) -> None:
        self._links: dict[int, Link | None] = dict.fromkeys(range(processes))
        self._past = Figures()
        self.stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def linked(self, number: int) -> Link:
        """Returns a new link, for the next process at this place."""
        self._loop = asyncio.get_running_loop()
        link = self._links[number] = Link()
        return link

    def unlinked(self, number: int, *, for_good: bool = False) -> None:
        """The process at this place has ended; *for_good*: there will be no other."""
        link = self._links.get(number)
        if link is not None:
            said = link.figures()
            self._past = added([self._past, _gone(said)])
        if for_good:
            self._links.pop(number, None)
        else:
            self._links[number] = None

    def dead(self) -> str | None:
        for number, link in self._present():
            silent = 0.0 if link.report is None else monotonic() - link.reported_at
            if silent > vitals.LIVE_SECONDS:
                return f"process {number + 1} has said nothing for {silent:.0f} s"
        return None

    def unready(self) -> str | None:
        if self.stopping:
            return "stopping"
        present = dict(self._present())
        for number in list(self._links):
            report = None if (link := present.get(number)) is None else link.report
            if report is None:
                return f"process {number + 1} has not started yet"
            if report.unready is not None:
                return f"process {number + 1}: {report.unready}"
        return self.dead()

    def metrics(self) -> str:
        """The sum of all processes, and the store as one of them finds it."""
        links = [link for _, link in self._present()]
        total = added([self._past, *(link.figures() for link in links)])
        return exposition(total, self._store(links))

    def _store(self, links: list[Link]) -> StoreFigures | None:
        ready = [link for link in links if link.report and link.report.unready is None]
        if not ready or self._loop is None:
            return None
        asked = asyncio.run_coroutine_threadsafe(ready[0].store(), self._loop)
        try:
            return asked.result(PATIENCE_SECONDS + 1)
        except (OSError, TimeoutError):
            return None

    def _present(self) -> list[tuple[int, Link]]:
        return [(number, link) for number, link in list(self._links.items()) if link is not None]


def _gone(said: Figures) -> Figures:
    """What is left of a process that has ended: its counts."""
    bridges = [each.gone() for each in said.bridges]
    return Figures(said.series, said.lost, bridges=bridges)
