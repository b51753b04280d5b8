"""Schedules and rows to test with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pgqueue.jobs.job import NewJob
from pgqueue.jobs.schedules.rows import Declaration, ScheduleRow
from pgqueue.jobs.schedules.schedule import Schedule
from pgqueue.jobs.schedules.timing import Timing

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)


def schedule(said: Any = "*/5 * * * *", zone: str = "UTC", **options: Any) -> Schedule:
    options.setdefault("job", NewJob[Any]("digest"))
    return Schedule("digest", Timing.parse(said, zone=zone), **options)


def declare(said: Any = "*/5 * * * *", zone: str = "UTC", **options: Any) -> Declaration:
    return schedule(said, zone, **options).declaration()


def row(
    declared: Declaration, *, last_at: datetime | None = None, next_at: datetime | None = None
) -> ScheduleRow:
    columns = {each: getattr(declared, each) for each in Declaration.__struct_fields__}
    return ScheduleRow(name="digest", last_at=last_at, next_at=next_at, **columns)
