"""Copy unique keys that hold until an instant, whatever becomes of their jobs.

They are kept beside the jobs (`Unique(until=3600)`), and outlive them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from pgqueue.operations import Answers, Operation, Plan, as_json
from pgqueue.operations.params import from_microseconds, instant, microseconds


class Window(msgspec.Struct, frozen=True):
    """*key* is held by *job*, an id of the source store, until an instant."""

    key: str
    job: int
    until: datetime


def windows(
    after: Window | None = None, limit: int = 500, *, now: datetime | None = None
) -> Operation[list[Window]]:
    """Read the keys that hold, a page of *limit* behind the window *after*; an empty page is the
    end.

    A key whose time is renewed meanwhile may appear twice.
    """

    def decode(answers: Answers) -> list[Window]:
        return [Window(key, job, from_microseconds(until)) for key, job, until in answers[0]]

    params = {
        "last_key": after.key if after else None,
        "last_at": str(microseconds(after.until)) if after else None,
        "limit": str(limit),
        "now": instant(now),
    }
    return Operation("windows", params, decode)


def keep_windows(
    source: str, windows: Sequence[Window], *, now: datetime | None = None
) -> Operation[list[str]]:
    """Have keys of *source* hold here until the same instant; return those that this call has set.

    A key that holds here already stays as it is. A job that is not here yet gets its id now.
    """
    rows: dict[str, Any] = {
        window.key: {"key": window.key, "job": window.job, "until": microseconds(window.until)}
        for window in windows
    }
    params = {"source": source, "windows": as_json(list(rows.values())), "now": instant(now)}
    return Operation("keep_windows", params, lambda answers: [key for (key,) in answers[-1]])


def pages(told: Callable[[list[Window]], object], limit: int) -> Plan[None]:
    """Read all windows, and call *told* with each page."""
    last: Window | None = None
    while page := (yield windows(last, limit)):
        told(page)
        last = page[-1]
