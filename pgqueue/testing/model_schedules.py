"""Schedules in the model: their rows, and what became of each instant."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from pgqueue.jobs.job import Edge, NewJob, State
from pgqueue.jobs.schedules.firings import overlap_key, plan_firings
from pgqueue.jobs.schedules.rows import FiringOutcome, Scheduled, ScheduleRow
from pgqueue.operations import Became, Promoted
from pgqueue.operations.firing import job_for
from pgqueue.operations.schedules import ScheduleWrite
from pgqueue.testing.model import Model


class ScheduledModel(Model):
    """The queue, with schedules by name, and what became of their instants."""

    def __init__(self, keep: frozenset[State]) -> None:
        super().__init__(keep)
        self.rows: dict[str, ScheduleRow] = {}
        self.fired: dict[tuple[str, datetime], Became] = {}

    def promote(self, *, now: datetime) -> Promoted:
        active = [row for row in self.rows.values() if not row.paused_at and not row.retired_at]
        ahead = [(row.next_at or datetime.min.replace(tzinfo=UTC), row.next_at) for row in active]
        soonest = min(ahead)[1] if ahead else None
        told = super().promote(now=now)
        if ahead:
            return told._replace(next_schedule=(soonest or now) - now)
        return told

    def schedule(self, writes: Iterable[ScheduleWrite], *, now: datetime) -> set[str]:
        written = set()
        for row, new, moved in writes:
            known = self.rows.get(row.name)
            if new and known is None:
                late = row.next_at and row.last_at and row.next_at <= row.last_at
                first = None if late else row.next_at
                self.rows[row.name] = replace(row, revision=1, created_at=now, next_at=first)
            elif not new and known is not None and known.revision == row.revision:
                late = row.next_at and known.last_at and row.next_at <= known.last_at
                self.rows[row.name] = replace(
                    row,
                    revision=known.revision + 1,
                    created_at=known.created_at,
                    last_at=known.last_at,
                    next_at=known.next_at if not moved else None if late else row.next_at,
                )
            else:
                continue
            written.add(row.name)
        return written

    def unschedule(self, names: Iterable[str]) -> set[str]:
        gone = {name for name in names if self.rows.pop(name, None)}
        self.fired = {key: firing for key, firing in self.fired.items() if key[0] not in gone}
        return gone

    def fire(self, *, now: datetime) -> list[Became]:
        wanted: list[tuple[ScheduleRow, datetime, NewJob[Any]]] = []
        for name, row in sorted(self.rows.items()):
            if row.paused_at or row.retired_at or (row.next_at and row.next_at > now):
                continue
            plan = plan_firings(row, now)
            self.rows[name] = replace(row, last_at=plan.last_at, next_at=plan.next_at, problem=None)
            for at in plan.passed:
                self.fired.setdefault((name, at), Became(name, at, None, "missed"))
            wanted += [
                (row, firing.instant, job_for(row, firing))
                for firing in plan.firings
                if (name, firing.instant) not in self.fired
            ]
        return self._fire(wanted, "fired", now)

    def run(self, name: str, force: bool, *, now: datetime) -> list[Became]:
        row = self.rows.get(name)
        if row is None or (name, now) in self.fired:
            return []
        job = job_for(row, Scheduled(name=name, instant=now, previous=row.last_at, manual=True))
        if force:
            row, job = replace(row, overlap="allow"), replace(job, unique=None)
        return self._fire([(row, now, job)], "manual", now)

    def _fire(
        self,
        wanted: list[tuple[ScheduleRow, datetime, NewJob[Any]]],
        outcome: FiringOutcome,
        now: datetime,
    ) -> list[Became]:
        old = [
            holder
            for row, _, _ in wanted
            if row.overlap == "replace"
            for key in _keys(row)
            if (holder := self._holder(key))
        ]
        self.cancel(old, None, because="replaced by a newer one", now=now)
        last = {row.name: at for row, at, _ in wanted if row.overlap == "replace"}
        jobs: list[NewJob[Any]] = []
        stands: list[tuple[str, datetime, int | NewJob[Any], bool]] = []
        ours: dict[str, NewJob[Any]] = {}
        for row, at, job in wanted:
            if last.get(row.name, at) != at:
                continue
            taken = {key: ours.get(key) or self._holder(key) for key in _keys(row)}
            free = [key for key, holder in taken.items() if holder is None]
            behind = [holder for holder in taken.values() if holder is not None]
            if taken and not free:
                waits = [b for b in behind if not isinstance(b, int) or self._is_blocked(b)]
                stands.append((row.name, at, (waits or behind)[-1], True))
                continue
            if free:
                edges = tuple(Edge(holder, "run") for holder in behind)
                job = ours[free[0]] = replace(job, unique=free[0], edges=edges)
            jobs.append(job)
            stands.append((row.name, at, job, False))
        by_name = {name: found for name, _, found, _ in stands}
        stands += [
            (row.name, at, by_name[row.name], True)
            for row, at, _ in wanted
            if last.get(row.name, at) != at
        ]
        handles = dict(zip(map(id, jobs), self.enqueue(jobs, now=now), strict=True))
        for name, at, found, skipped in stands:
            if isinstance(found, int):
                self.fired[name, at] = Became(name, at, found, "skipped")
            else:
                handle = handles[id(found)]
                made = outcome if handle.created and not skipped else "skipped"
                self.fired[name, at] = Became(name, at, handle.id, made)
        return sorted(self.fired[name, at] for name, at, _, _ in stands)

    def _is_blocked(self, id: int) -> bool:
        return self.jobs[id].state == State.BLOCKED

    def schedules(self, *, now: datetime) -> list[ScheduleRow]:
        return [row for _, row in sorted(self.rows.items())]

    def firings(self, name: str) -> list[Became]:
        """Return what became of the instants of *name*, the latest first."""
        found = [each for each in self.fired.values() if each.schedule == name]
        return sorted(found, key=lambda each: each.instant, reverse=True)


def _keys(row: ScheduleRow) -> list[str]:
    key = overlap_key(row.name)
    return [key, f"{key} next"] if row.overlap in ("next", "replace") else []
