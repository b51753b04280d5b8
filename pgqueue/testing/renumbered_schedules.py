"""Schedules of a store that plays the model's history, and answers in the model's numbers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pgqueue import operations
from pgqueue.jobs.schedules.rows import ScheduleRow
from pgqueue.operations import Became, ScheduleWrite
from pgqueue.testing.renumbered_limits import LimitedStore


class ScheduledStore(LimitedStore):
    """One store, with the model's verbs that concern schedules, too."""

    def schedule(self, writes: Iterable[ScheduleWrite], *, now: datetime) -> set[str]:
        return self._do(operations.schedule(writes, now=now))

    def unschedule(self, names: Iterable[str]) -> set[str]:
        return self._do(operations.unschedule(names))

    def fire(self, *, now: datetime) -> list[Became]:
        due = self._do(operations.due(now=now))
        moves = [operations.to_fire(row, due.now) for row in due.rows]
        fired = self._carry(operations.fire(moves, keep=self._keep, now=now))
        return sorted(map(self._became, fired.became))

    def run(self, name: str, force: bool, *, now: datetime) -> list[Became]:
        for row in self._do(operations.schedules([name], now=now)).rows:
            plan = operations.run(row, force=force, keep=self._keep, now=now)
            return sorted(map(self._became, self._carry(plan).became))
        return []

    def schedules(self, *, now: datetime) -> list[ScheduleRow]:
        return self._do(operations.schedules(now=now)).rows

    def firings(self, name: str) -> list[Became]:
        """Return what became of the instants of *name*, the latest first."""
        found = self._do(operations.firings(name, limit=100_000))
        return [
            self._became(Became(each.schedule, each.instant, each.job_id, each.outcome))
            for each in found
        ]

    def _became(self, each: Became) -> Became:
        return each._replace(job=each.job and self._jobs.ours(each.job))
