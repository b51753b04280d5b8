"""What running jobs report of themselves, until the store has kept it."""

from __future__ import annotations

from collections.abc import Collection
from time import monotonic

from pgqueue import operations
from pgqueue.errors import StoreBusy
from pgqueue.operations import ProgressReport
from pgqueue.worker.agents.held_outcomes import Name
from pgqueue.worker.connection import ReconnectingConnection
from pgqueue.worker.service import log

GAP_SECONDS = 0.5


class Reports:
    """The latest report of each job. While another transaction holds the job's row, the report
    stays here, and is sent again later."""

    def __init__(self, line: ReconnectingConnection, limit: int) -> None:
        self._line = line
        self._limit = limit
        self._new: dict[Name, str] = {}
        self._refused: dict[Name, str] = {}
        self._again_at = 0.0

    def __bool__(self) -> bool:
        return bool(self._new or self._refused)

    def add(self, name: Name, progress: str) -> None:
        self._refused.pop(name, None)
        self._new[name] = progress

    def due(self) -> bool:
        return bool(self._new) or (bool(self._refused) and self._again_at <= monotonic())

    def seconds(self) -> float | None:
        """Until something is due; None if nothing is here."""
        if not self._refused or self._new:
            return 0.0 if self._new else None
        return max(0.0, self._again_at - monotonic())

    async def send(self) -> None:
        """Sends what is due."""
        if self._refused and self._again_at <= monotonic():
            self._new |= self._refused
            self._refused = {}
        reports, self._new = self._new, {}
        names = list(reports)
        for start in range(0, len(names), self._limit):
            await self._send({name: reports[name] for name in names[start : start + self._limit]})

    async def send_of(self, names: Collection[Name]) -> Collection[Name]:
        """Sends the reports of these jobs; returns the jobs whose rows another transaction
        holds."""
        reports = {
            name: text
            for name in names
            if (text := self._new.pop(name, None) or self._refused.pop(name, None))
        }
        return await self._send(reports) if reports else ()

    async def _send(self, reports: dict[Name, str]) -> Collection[Name]:
        rows = [ProgressReport(id, lease, text) for (id, lease), text in reports.items()]
        try:
            kept = await self._line.insist(operations.progress(rows))
        except StoreBusy:
            return self._refuse(reports, reports)
        except Exception as error:
            if len(reports) > 1:  # one of them is refused, and the others must not be lost with it
                names, middle = list(reports), len(reports) // 2
                first = await self._send({name: reports[name] for name in names[:middle]})
                second = await self._send({name: reports[name] for name in names[middle:]})
                return {*first, *second}
            log.warning("job %d: its progress was not kept: %s", rows[0].id, error)
            return ()
        return self._refuse(kept.held, reports)

    def _refuse(self, names: Collection[Name], reports: dict[Name, str]) -> Collection[Name]:
        if names:
            self._again_at = monotonic() + GAP_SECONDS
            for name in names:
                if name not in self._new:
                    self._refused[name] = reports[name]
        return names
