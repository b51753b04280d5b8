"""When a cron text fires, by looking at each minute: Debian's rule, with no shared code.

Of fixed times, a local minute that comes twice fires in its first pass, and one that a change
skips fires at the first minute after it. Where the minute or the hour begins with `*`, each real
minute counts whose local time fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

MINUTE = timedelta(minutes=1)


class Change(NamedTuple):
    """The first instant with another offset, and the offsets before and after."""

    at: datetime
    before: timedelta
    after: timedelta


def zones() -> list[str]:
    """The names that people use, without a machine's own."""
    return sorted(
        name
        for name in available_timezones()
        if not name.startswith(("posix", "right")) and name not in ("localtime", "Factory")
    )


@cache
def changes(zone: str, first_year: int, years: int) -> list[Change]:
    """Each change of *zone*'s offset in these years."""
    tz = ZoneInfo(zone)
    found = []
    day = datetime(first_year, 1, 1, tzinfo=UTC)
    end = datetime(first_year + years, 1, 1, tzinfo=UTC)
    before = offset_at(tz, day)
    while day < end:
        following = day + timedelta(days=1)
        after = offset_at(tz, following)
        if after != before:
            low, high = day, following
            while high - low > MINUTE:
                middle = low + (high - low) // 2 // MINUTE * MINUTE
                low, high = (low, middle) if offset_at(tz, middle) == after else (middle, high)
            found.append(Change(high, before, after))
        day, before = following, after
    return found


def offset_at(tz: tzinfo, instant: datetime) -> timedelta:
    offset = instant.astimezone(tz).utcoffset()
    assert offset is not None
    return offset


class Fields:
    """A cron text of numbers, lists, ranges, steps and stars."""

    def __init__(self, cron: str) -> None:
        minute, hour, date, month, day = cron.split()
        self.fixed = not (minute.startswith("*") or hour.startswith("*"))
        self.both_days = date.startswith("*") or day.startswith("*")
        self.minutes = numbers(minute, 0, 59)
        self.hours = numbers(hour, 0, 23)
        self.dates = numbers(date, 1, 31)
        self.months = numbers(month, 1, 12)
        self.days = {n % 7 for n in numbers(day, 0, 7)}

    def fit(self, local: datetime) -> bool:
        if local.minute not in self.minutes or local.hour not in self.hours:
            return False
        if local.month not in self.months:
            return False
        date, day = local.day in self.dates, local.isoweekday() % 7 in self.days
        return date and day if self.both_days else date or day


def numbers(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        spread, _, step = part.partition("/")
        first, _, last = spread.partition("-")
        if spread == "*":
            first, last = str(low), str(high)
        elif not last:
            last = str(high) if step else first
        found |= set(range(int(first), int(last) + 1, int(step or 1)))
    return found


def scan(cron: str, zone: str, since: datetime, until: datetime) -> Iterator[datetime]:
    """The instants of *cron* from *since* on and before *until*, both whole minutes."""
    fields, tz = Fields(cron), ZoneInfo(zone)
    instant = since
    before = (since - MINUTE).astimezone(tz).replace(tzinfo=None)
    while instant < until:
        aware = instant.astimezone(tz)
        local = aware.replace(tzinfo=None)
        fires = fields.fit(local)
        if fields.fixed:
            fires = fires and not aware.fold
            skipped = before + MINUTE
            while skipped < local:
                fires = fires or fields.fit(skipped)
                skipped += MINUTE
        if fires:
            yield instant
        before, instant = local, instant + MINUTE
