"""Time zones by their name in the IANA database: the same on every machine, never the machine's."""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from pgqueue.errors import InvalidSchedule

_UTC = {"UTC", "Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "UCT", "Universal", "Zulu"}
# Files of a machine's zone folder that are no zones: its local time, and copies with leap seconds.
_NOT_THE_DATABASE = ("localtime", "posixrules", "Factory", "posix/", "right/")


@lru_cache(1024)
def zone_of(name: str) -> tzinfo:
    """Return the zone *name*; raises InvalidSchedule when there is none."""
    if name in _UTC:
        return UTC
    if not name.startswith(_NOT_THE_DATABASE):
        try:
            return ZoneInfo(name)
        except (KeyError, OSError, ValueError):  # a folder is an OSError, ../ a ValueError
            pass
    raise InvalidSchedule(f"{name!r:.60} is no time zone{_resembling(name)}")


def _resembling(name: object) -> str:
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    known = {each.lower(): each for each in available_timezones()}
    known |= {each.rpartition("/")[2].lower(): each for each in sorted(known.values())}
    for close in get_close_matches(str(name).lower().replace(" ", "_"), known, 1):
        return f"; did you mean {known[close]!r}?"
    return '; give a name as "Europe/Berlin"'
