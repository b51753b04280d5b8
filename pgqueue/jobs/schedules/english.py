"""Everyday phrases, compiled to a cron text or an interval; other phrases are refused.

every 15 minutes · every 2 hours · every 90 seconds · every 3 days
every minute, hour, day, weekday, weekend, week, month, year · hourly daily weekly
every monday, wednesday and friday at 9:00 · weekdays at 9am, 5 pm · every day at noon
every month on the 1st and 15th at 9:00 · on the last day · on the first monday … in Europe/Berlin
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Final, NamedTuple, NoReturn, TypeVar

from pgqueue.errors import InvalidSchedule

T = TypeVar("T")

_DAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_DAY_OF: Final = {
    written: n for n, name in enumerate(_DAYS) for written in (name, f"{name}s", name[:3])
}
_NTH: Final = {"first": "#1", "second": "#2", "third": "#3", "fourth": "#4", "last": "L"}
_UNITS: Final = {  # length, how many make the next larger unit, every N of them in cron
    "second": (timedelta(seconds=1), 0, ""),
    "minute": (timedelta(minutes=1), 60, "*/{} * * * *"),
    "hour": (timedelta(hours=1), 24, "0 */{} * * *"),
    "day": (timedelta(days=1), 1, ""),
}
_LARGER: Final = {"minute": "hour", "hour": "day", "day": "day"}
_PERIODS: Final = {  # minute, hour, day of month, month, day of week
    "minute": "* * * * *",
    **dict.fromkeys(("hour", "hourly"), "0 * * * *"),
    **dict.fromkeys(("day", "daily"), "0 0 * * *"),
    **dict.fromkeys(("weekday", "weekdays"), "0 0 * * 1-5"),
    **dict.fromkeys(("weekend", "weekends"), "0 0 * * 0,6"),
    **dict.fromkeys(("week", "weekly"), "0 0 * * 0"),
    **dict.fromkeys(("month", "monthly"), "0 0 1 * *"),
    **dict.fromkeys(("year", "yearly", "annually"), "0 0 1 1 *"),
}
_ZONE: Final = re.compile(r"(.*\S)\s+in\s+(\S+)\s*", re.DOTALL | re.IGNORECASE)
_TIME: Final = re.compile(r"(\d\d?)(?::([0-5]\d))?(am|pm)?", re.ASCII)
_DATE: Final = re.compile(r"(\d\d?)(?:st|nd|rd|th)", re.ASCII)


class Phrase(NamedTuple):
    """The meaning of a phrase: a *cron* text or an interval, and the *zone* it names."""

    cron: str | None
    every: timedelta | None
    zone: str | None


def read_english(text: str) -> Phrase:
    """Return the meaning of *text*; raises InvalidSchedule with the word that is not understood."""
    in_zone = _ZONE.fullmatch(text)
    phrase, zone = in_zone.groups() if in_zone else (text, None)
    cron, every = _Reader(phrase).read()
    return Phrase(cron, every, zone)


class _Reader:
    """The words of one phrase, from left to right."""

    def __init__(self, phrase: str) -> None:
        self._phrase = phrase
        self._words: list[str] = re.findall(r",|[^\s,]+", phrase.lower())

    def read(self) -> tuple[str | None, timedelta | None]:
        self._take("every", "each")
        subject, every = self._next(), None
        cron: str | None
        if subject.isdecimal():
            cron, every = self._repeated(subject)
        elif subject == "second":
            cron, every = None, timedelta(seconds=1)
        elif subject in _PERIODS:
            cron = _PERIODS[subject]
        else:
            cron = f"0 0 * * {self._listed(self._weekday, subject)}"
        if cron is not None:
            minute, hour, date, month, day = cron.split()
            if subject in ("week", "weekly") and self._take("on"):
                day = self._listed(self._weekday)
            elif subject in ("month", "monthly") and self._take("on"):
                date, day = self._dates()
            if (minute, hour) == ("0", "0") and self._take("at"):
                minute, hour = self._times()
            cron = f"{minute} {hour} {date} {month} {day}"
        if self._words:
            self._refuse(self._words[0])
        return cron, every

    def _repeated(self, number: str) -> tuple[str | None, timedelta | None]:
        unit = self._next()
        name = unit.rstrip("s")
        name = {"sec": "second", "min": "minute", "hr": "hour"}.get(name, name)
        if name not in _UNITS:
            self._refuse(unit)
        if len(number) > 7 or not (count := int(number)):
            self._refuse(number)
        size, whole, every_n = _UNITS[name]
        if not whole or whole % count:
            return None, size * count
        if count == whole:
            return _PERIODS[_LARGER[name]], None
        return (_PERIODS[name] if count == 1 else every_n.format(count)), None

    def _dates(self) -> tuple[str, str]:
        """The day of month and the day of week after `on`."""
        self._take("the")
        word = self._next()
        if word not in _NTH:
            return self._listed(self._date, word), "*"
        which = self._next()
        if which == "day" and word in ("first", "last"):
            return ("L" if word == "last" else "1"), "*"
        if which == "weekday" and word == "last":
            return "LW", "*"
        return "*", f"{self._weekday(which)}{_NTH[word]}"

    def _date(self, word: str) -> int:
        found = _DATE.fullmatch(self._next() if word == "the" else word)
        return int(found[1]) if found and 1 <= int(found[1]) <= 31 else self._refuse(word)

    def _weekday(self, word: str) -> int:
        return _DAY_OF[word] if word in _DAY_OF else self._refuse(word)

    def _times(self) -> tuple[str, str]:
        """The minute and the hour after `at`."""
        times = self._list(self._time)
        minutes, hours = ({time[n] for time in times} for n in (1, 0))
        if len(minutes) > 1:
            raise InvalidSchedule(
                f"{self._phrase!r:.80}: these times differ in their minutes; make several schedules"
            )
        return _text(minutes), _text(hours)

    def _time(self, word: str) -> tuple[int, int]:
        if word in ("noon", "midnight"):
            return (12 if word == "noon" else 0), 0
        found = _TIME.fullmatch(word)
        if found is None:
            self._refuse(word)
        hour, minute, half = int(found[1]), int(found[2] or 0), found[3] or self._take("am", "pm")
        if not (1 <= hour <= 12 if half else hour < 24 and found[2]):
            self._refuse(word)
        return (hour % 12 + 12 * (half == "pm") if half else hour), minute

    def _listed(self, read: Callable[[str], int], first: str | None = None) -> str:
        return _text(set(self._list(read, first)))

    def _list(self, read: Callable[[str], T], first: str | None = None) -> list[T]:
        """One or several words, each read by *read*, with commas or `and` between."""
        found = [read(first or self._next())]
        while self._take(",", "and"):
            self._take("and")
            found.append(read(self._next()))
        return found

    def _take(self, *words: str) -> str | None:
        return self._words.pop(0) if self._words and self._words[0] in words else None

    def _next(self) -> str:
        if not self._words:
            self._refuse(None)
        return self._words.pop(0)

    def _refuse(self, word: str | None) -> NoReturn:
        what = f"{word!r:.40} is not understood" if word else "something is missing at the end"
        raise InvalidSchedule(
            f"{self._phrase!r:.80}: {what}; say 'every weekday at 9:00', 'every 15 minutes', "
            "five cron fields, or a timedelta"
        )


def _text(numbers: set[int]) -> str:
    return ",".join(map(str, sorted(numbers)))
