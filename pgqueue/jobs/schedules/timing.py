"""When something happens again and again: a cron text or an interval, in a time zone.

    Timing.parse("0 3 * * *", zone="Europe/Berlin")
    Timing.parse("every weekday at 9:00 in Europe/Berlin")
    Timing.parse("@every 5m")
    Timing.parse(timedelta(seconds=15), anchor=datetime(2026, 1, 1, tzinfo=UTC))

Instants of an interval are *anchor* + k · *every* in real time, so neither a restart nor a clock
change moves them. All instants are in UTC.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from pgqueue.errors import InvalidJob, InvalidSchedule
from pgqueue.jobs import checks
from pgqueue.jobs.schedules import cron as crons
from pgqueue.jobs.schedules.english import read_english
from pgqueue.jobs.schedules.zones import zone_of

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SHORTEST: Final = timedelta(seconds=1)
_EARLIEST: Final = datetime(2, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)
_CRON: Final = re.compile(r"[\d*/,-]+(\s|$)")
_EVERY: Final = re.compile(
    r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,8})m)?(?:(\d{1,9}(?:\.\d{1,6})?)s)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Timing:
    """When something happens again and again, in the words that somebody *said*.

    Either *cron* is a text of five fields, or *every* an interval, counted from *anchor*, the
    beginning of 1970 if it is None. Make it with `parse`.
    """

    said: str
    cron: str | None
    every: timedelta | None
    anchor: datetime | None
    zone: str

    @classmethod
    def parse(
        cls,
        said: str | timedelta | Timing,
        *,
        zone: str | ZoneInfo | None = None,
        anchor: datetime | None = None,
    ) -> Timing:
        """Return when *said* happens: cron, an alias, `@every 5m`, English, or a timedelta.

        *zone* is UTC unless given, here or in English; never the machine's. *anchor* is for
        intervals. Raises InvalidSchedule for what cannot be read and for what never happens.
        """
        if isinstance(said, Timing):
            if zone is None and anchor is None:
                return said
            return cls.kept(said.said, said.cron, said.every, anchor or said.anchor, _key(zone))
        if isinstance(said, timedelta):
            return cls.kept(_shortly(said), None, said, anchor, _key(zone))
        if not isinstance(said, str):
            raise InvalidSchedule(f"{checks.shown(said)} is neither a text nor a timedelta")
        text = said.strip()
        if len(text) > checks.MAX_KEY_CHARS or not text.isprintable():
            raise InvalidSchedule(f"{checks.shown(text)} is too long, or has control characters")
        named = None
        if text.startswith("@"):
            cron, every = _read_alias(text)
        elif _CRON.match(text):
            cron, every = text, None
        else:
            cron, every, named = read_english(text)
        if named is not None and zone is not None and named != _key(zone):
            raise InvalidSchedule(f"{text!r:.80}: the zone is {_key(zone)!r} too; say one of them")
        return cls.kept(text, cron, every, anchor, _key(named or zone))

    @classmethod
    def kept(
        cls,
        said: str,
        cron: str | None,
        every: timedelta | None,
        anchor: datetime | None,
        zone: str,
    ) -> Timing:
        """Return the timing of a row's columns; without *cron* and interval, *said* is read.

        Raises InvalidSchedule, as `parse` does.
        """
        zone_of(zone)
        if cron is None and every is None:
            return cls.parse(said, zone=None if zone == "UTC" else zone, anchor=anchor)
        if cron is not None:
            if every is not None:
                raise InvalidSchedule(f"{said!r:.80}: give a cron text or an interval, not both")
            if anchor is not None:
                raise InvalidSchedule(f"{said!r:.80}: only an interval has an anchor")
            return cls(said, crons.read_cron(cron), None, None, zone)
        assert every is not None
        if not SHORTEST <= every <= checks.MAX_DURATION:
            raise InvalidSchedule(f"every {every}: give a second at least, a hundred years at most")
        if anchor is not None:
            anchor = _aware("anchor", anchor)
        return cls(said, None, every, anchor, zone)

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first instant strictly after *instant*; None beyond the year 9000."""
        return next(self.after(instant), None)

    def after(self, instant: datetime) -> Iterator[datetime]:
        """Yield the instants strictly after *instant*, in order."""
        instant = _aware("instant", instant)
        if self.cron is not None:
            return crons.instants_after(self.cron, self.zone, max(instant, _EARLIEST))
        return self._interval_after(max(instant, _EARLIEST))

    def instants(
        self, since: datetime, until: datetime, limit: int | None = None
    ) -> Iterator[datetime]:
        """Yield the instants from *since* on and before *until*, *limit* at most."""
        return islice(self._between(since, until), limit)

    def latest(self, until: datetime) -> datetime | None:
        """Return the last instant at or before *until*; None before the year 2."""
        until = _aware("until", until)
        if self.cron is not None:
            return crons.latest_instant(self.cron, self.zone, until)
        assert self.every is not None
        anchor = self.anchor or EPOCH
        try:
            return anchor + (until - anchor) // self.every * self.every
        except OverflowError:
            return None

    def explain(self) -> str:
        """Return the timing in English, with its zone."""
        if self.cron is not None:
            return f"{crons.explain_cron(self.cron)}, {self.zone}"
        assert self.every is not None
        anchor = f"{self.anchor or EPOCH:%Y-%m-%d %H:%M:%S}"
        return f"Every {_spelled(self.every)}, counted from {anchor} UTC"

    def _between(self, since: datetime, until: datetime) -> Iterator[datetime]:
        for instant in self.after(_aware("since", since) - _TICK):
            if instant >= until:
                return
            yield instant

    def _interval_after(self, instant: datetime) -> Iterator[datetime]:
        assert self.every is not None
        anchor = self.anchor or EPOCH
        count = (instant - anchor) // self.every + 1
        with contextlib.suppress(OverflowError):
            while (found := anchor + count * self.every) < _LATEST:
                yield found
                count += 1


def _read_alias(text: str) -> tuple[str | None, timedelta | None]:
    alias, _, rest = text.lower().partition(" ")
    if alias == "@every":
        found = _EVERY.fullmatch(rest.strip().replace(" ", ""))
        if found is None or not any(found.groups()):
            raise InvalidSchedule(f"{text!r:.60}: say @every 1h30m, with d, h, m and s")
        days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return None, timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if alias == "@reboot":
        raise InvalidSchedule("@reboot: nothing here is booted; enqueue the job where yours starts")
    if alias not in crons.ALIASES or rest:
        raise InvalidSchedule(f"{text!r:.60} is none of {' '.join(crons.ALIASES)} and @every 5m")
    return crons.ALIASES[alias], None


def _key(zone: str | ZoneInfo | None) -> str:
    if zone is None:
        return "UTC"
    key = zone.key if isinstance(zone, ZoneInfo) else zone
    if not isinstance(key, str):
        raise InvalidSchedule(f"{checks.shown(zone)} is no time zone; say 'Europe/Berlin', by name")
    return key


def _aware(what: str, instant: datetime) -> datetime:
    try:
        return checks.instant("schedule", what, instant).astimezone(UTC)
    except InvalidJob as error:
        raise InvalidSchedule(str(error)) from None


def _parts(every: timedelta) -> list[tuple[float, str]]:
    minutes, seconds = divmod(every.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    rest = seconds + every.microseconds / 1_000_000
    units = ((every.days, "day"), (hours, "hour"), (minutes, "minute"), (rest, "second"))
    return [(count, unit) for count, unit in units if count]


def _shortly(every: timedelta) -> str:
    return "@every " + "".join(f"{count:.9g}{unit[0]}" for count, unit in _parts(every))


def _spelled(every: timedelta) -> str:
    return " ".join(f"{n:.9g} {unit}{'' if n == 1 else 's'}" for n, unit in _parts(every))
