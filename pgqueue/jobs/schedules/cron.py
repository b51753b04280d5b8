"""Cron texts of five fields, by Debian's rules, also where clocks are changed.

Fixed times: one that the spring gap skips runs once, at the end of the gap; one that the autumn
hour has twice runs the first time. Where the minute or the hour begins with `*`, real time counts.

`cronsim` reads the fields and finds the instants, but not across a clock change: with fixed times
its answer may lie before the start; after a day that begins in the gap it answers times that do not
exist, or skips an hour; and its search backwards never ends in Chatham.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from cronsim import CronSim, CronSimError

from pgqueue.errors import InvalidSchedule
from pgqueue.jobs.schedules.zones import zone_of

ALIASES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
# The search for any instant begins here, so that the answer is the same at any time.
_ERA: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LAST_YEAR: Final = 9000


def read_cron(text: str) -> str:
    """Return *text* with single spaces; raises InvalidSchedule when it is no cron text."""
    fields = text.split()
    if len(fields) in (6, 7):
        raise InvalidSchedule(
            f"{text!r:.60} has {len(fields)} fields, cron has five; "
            "for seconds say timedelta(seconds=15)"
        )
    if len(fields) != 5:
        raise InvalidSchedule(
            f"{text!r:.60} has {len(fields)} fields, cron has five: "
            "minute, hour, day of month, month, day of week"
        )
    normal = " ".join(fields)
    try:
        next(CronSim(normal, _ERA))
    except CronSimError as error:
        raise InvalidSchedule(f"{text!r:.60} cannot be read: {str(error).lower()}") from None
    except StopIteration:
        raise InvalidSchedule(f"{text!r:.60} never fires: no day in fifty years fits") from None
    return normal


def instants_after(cron: str, zone: str, instant: datetime) -> Iterator[datetime]:
    """Yield the instants of *cron* strictly after *instant*, in order, in UTC."""
    latest = instant
    walk = _real_times if is_real_time(cron) else _walk
    for found in walk(cron, zone, instant):
        if found > latest:
            latest = found
            yield found


def latest_instant(cron: str, zone: str, until: datetime) -> datetime | None:
    """Return the last instant of *cron* at or before *until*, by the rules of `instants_after`."""
    offset = _offset(zone_of(zone), until)
    for local in _walk(cron, "UTC", until + offset + timedelta(minutes=1), reverse=True):
        found = None
        for later in instants_after(cron, zone, local - offset - timedelta(seconds=1)):
            if later > until:
                break
            found = later
        if found is not None:
            return found
    return None


def is_real_time(cron: str) -> bool:
    """Does every real minute with a fitting local time count, even at clock changes?"""
    minute, hour, *_ = cron.split()
    return minute.startswith("*") or hour.startswith("*")


def fits_the_clock(cron: str, local: datetime) -> bool:
    """Is the minute and hour of *local* one that *cron* names?"""
    fields = CronSim(cron, _ERA)
    return local.minute in fields.minutes and local.hour in fields.hours


def explain_cron(cron: str) -> str:
    """Return *cron* in English."""
    try:
        return CronSim(cron, _ERA).explain()
    except Exception:  # it cannot describe every text that cronsim accepts
        return cron


def _real_times(cron: str, zone: str, instant: datetime) -> Iterator[datetime]:
    """Yield instants from *instant* on, piece by piece: cronsim is right between two clock
    changes."""
    tz = zone_of(zone)
    since, after = instant, instant
    changed: datetime | None = instant
    while changed is not None:
        offset, changed = _offset(tz, since), None
        for local in _walk(cron, "UTC", after + offset):
            at = local - offset
            if changed := _first_change(tz, since, at):
                since, after = changed, changed - timedelta(seconds=1)
                break
            yield at
            since = at


def _first_change(tz: tzinfo, since: datetime, until: datetime) -> datetime | None:
    """Return the first instant with another offset than at *since*, if there is one by *until*."""
    offset = _offset(tz, since)
    low = high = since
    while _offset(tz, high) == offset:
        if high >= until:
            return None
        low, high = high, min(high + timedelta(days=7), until)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        low, high = (middle, high) if _offset(tz, middle) == offset else (low, middle)
    return high.replace(microsecond=0)


def _offset(tz: tzinfo, instant: datetime) -> timedelta:
    return instant.astimezone(tz).utcoffset() or timedelta(0)


def _walk(cron: str, zone: str, start: datetime, *, reverse: bool = False) -> Iterator[datetime]:
    walk = CronSim(cron, start.astimezone(zone_of(zone)), reverse=reverse)
    try:
        for found in walk:
            if not 1 < found.year < _LAST_YEAR:
                return
            yield found.astimezone(UTC)
    except OverflowError:
        return
