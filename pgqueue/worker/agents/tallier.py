"""The Tallier: has the store keep what was counted here, once a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import uniform
from typing import TypeAlias

from pgqueue.jobs.tally import Series, added_since
from pgqueue.operations.tallying import MINUTE, TallyRow, minute_of, tally
from pgqueue.worker.agents.listener import Listener
from pgqueue.worker.connection import ReconnectingConnection
from pgqueue.worker.service import Service

_Key: TypeAlias = tuple[str, str]


class Tallier(Service):
    """Notes by how much *series* have grown since the last note, under the current minute.

    Processes that start together do not write together: each has its own second of the minute. A
    row holds its whole minute so far, so noting it twice does no harm. What could not be noted
    counts for the next minute. A process that is killed loses a minute.
    """

    def __init__(
        self,
        line: ReconnectingConnection,
        listener: Listener,
        series: Callable[[], Sequence[Series]],
    ) -> None:
        self._line = line
        self._listener = listener
        self._series = series
        self._noted: dict[_Key, Series] = {}
        self._minute: datetime | None = None
        self._in_minute: dict[_Key, Series] = {}

    async def run(self) -> None:
        await asyncio.sleep(uniform(0, MINUTE.total_seconds()))
        while True:
            await self.note()
            await asyncio.sleep(MINUTE.total_seconds())

    async def note(self) -> None:
        """Notes what has been counted since this was done last."""
        minute = minute_of(datetime.now(UTC))
        if minute != self._minute:
            self._minute, self._in_minute = minute, {}
        now = {(series.queue, series.task): series for series in self._series()}
        seen: dict[_Key, Series] = {}
        rows: list[TallyRow] = []
        for key, series in now.items():
            before = self._noted.get(key, Series(*key))
            if series.outcomes == before.outcomes:
                continue
            seen[key] = added_since(Series(*key), series)
            growth = added_since(before, series)
            growth += self._in_minute.get(key, Series(*key))
            rows.append(TallyRow(minute, MINUTE, self._listener.worker, growth))
        if rows:
            await self._line.execute(tally(rows))
        self._noted |= seen
        self._in_minute |= {(row.series.queue, row.series.task): row.series for row in rows}
