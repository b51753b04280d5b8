"""Schedules as people read them: when, in words, and where a clock change bites."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec

from pgqueue.jobs.schedules.cron import fits_the_clock, is_real_time
from pgqueue.jobs.schedules.rows import NEVER, ScheduleRow
from pgqueue.jobs.schedules.timing import Timing
from pgqueue.jobs.schedules.zones import zone_of


class Coming(msgspec.Struct, frozen=True):
    """An instant ahead, as the clock of its zone shows it; *remark*: what a clock change does."""

    instant: datetime
    local: datetime
    remark: str | None = None


def coming(timing: Timing, since: datetime, count: int) -> list[Coming]:
    """Return the first *count* instants of *timing* after *since*."""
    return list(islice(_coming(timing, since), count))


def state_of(row: ScheduleRow, now: datetime) -> str:
    """Return in a word or two how *row* is."""
    if row.retired_at is not None:
        return "retired"
    if row.problem is not None:
        return "has a problem"
    if row.paused_at is not None:
        return f"paused by {row.paused_by}" if row.paused_by else "paused"
    if row.next_at == NEVER:
        return "over"
    if row.next_at is not None and row.next_at < now - timedelta(minutes=1):
        return "late"
    return "changed" if row.changes else ""


def clock(instant: datetime | None, zone: str) -> str:
    """Return *instant* as a clock in *zone* shows it, with the weekday."""
    if instant is None or instant == NEVER:
        return ""
    local = instant.astimezone(zone_of(zone))
    return f"{local:%a %Y-%m-%d %H:%M}" + (f":{local:%S}" if local.second else "")


def _coming(timing: Timing, since: datetime) -> Iterator[Coming]:
    tz = zone_of(timing.zone)
    before = since.astimezone(tz)
    for instant in timing.after(since):
        local = instant.astimezone(tz)
        yield Coming(instant.astimezone(UTC), local, _remark(timing, before, local))
        before = local


def _remark(timing: Timing, before: datetime, local: datetime) -> str | None:
    if timing.cron is not None and not is_real_time(timing.cron):
        if not fits_the_clock(timing.cron, local):
            return f"the clocks go forward: the time it names is skipped, it runs at {local:%H:%M}"
        if local.utcoffset() != local.replace(fold=1).utcoffset():
            return f"the clocks go back: {local:%H:%M} comes twice, it runs the first time only"
        return None
    offset, earlier = local.utcoffset(), before.utcoffset()
    if offset is None or earlier is None or offset == earlier:
        return None
    hours = (offset - earlier) / timedelta(hours=1)
    return f"the clocks have changed by {hours:+g} h since the one before: real time counts"
