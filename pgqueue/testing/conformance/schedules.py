"""Schedules for tests: their rows, what became of their instants, what their jobs know."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pgqueue import operations
from pgqueue.jobs.schedules.rows import ScheduleRow
from pgqueue.operations import ClaimedJob, ScheduleWrite
from pgqueue.testing.conformance.store import NOON, Store

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def a_row(
    name: str = "s", *, first: datetime | None = NOON + MINUTE, **columns: Any
) -> ScheduleRow:
    """Return a schedule of every minute."""
    element = {"task": "task", "args": {"n": 1}}
    given = {"every_seconds": 60.0, "job": element, "source": "api", **columns}
    return ScheduleRow(name=name, next_at=first, **given)


def add(store: Store, *rows: ScheduleRow) -> None:
    written = store.schedule(*(ScheduleWrite(row, new=True, moved=True) for row in rows))
    assert written == {row.name for row in rows}


def scheduled(store: Store, job: int | None) -> dict[str, Any]:
    """Return what the *job* of a schedule knows of its instant."""
    metadata = store.job(job or 0).metadata
    assert metadata
    return dict(metadata["schedule"])


def in_hands(store: Store, id: int) -> ClaimedJob:
    """Return a running job as its worker has it."""
    [job] = store.do(operations.recall(store.worker, store.job(id).lease or 0))
    return job


def outcomes(store: Store, name: str = "s") -> list[tuple[float, str, int | None]]:
    """Return (minutes after noon, outcome, job) of each instant, the first one first."""
    return [
        ((f.instant - NOON) / MINUTE, f.outcome, f.job_id) for f in reversed(store.firings(name))
    ]
