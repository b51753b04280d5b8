"""Durations, instants and long texts as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta


def span(duration: timedelta | float | None) -> str:
    """Return *duration*, or seconds, as one number and unit: ``1.4 ms``, ``3 min``."""
    if duration is None:
        return ""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 0.9995:
        return f"{sign}{_short(seconds * 1000)} ms"
    for unit, length, limit in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < limit * length:
            return f"{sign}{_short(seconds / length)} {unit}"
    return f"{sign}{_short(seconds / 86_400)} d"


def ahead(instant: datetime, now: datetime | None = None) -> str:
    """Return how long it is until *instant*, ``in 5 s``; it may be due."""
    left = instant - (now or datetime.now(UTC))
    return f"in {span(left)}" if left > timedelta(0) else "any moment"


def ago(instant: datetime | None, now: datetime | None = None) -> str:
    """Return how long *instant* is past, ``3 min ago``, or ahead, ``in 5 s``."""
    if instant is None:
        return ""
    passed = (now or datetime.now(UTC)) - instant
    return f"in {span(-passed)}" if passed < timedelta(0) else f"{span(passed)} ago"


def seconds(duration: timedelta | None) -> float | None:
    """Return *duration* in seconds, for JSON."""
    return None if duration is None else round(duration.total_seconds(), 6)


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def sparkline(values: Sequence[float | None]) -> str:
    """Return *values* as bars, the largest one whole; a space for None, and for nothing at all."""
    largest = max((value for value in values if value is not None), default=0.0)
    return "".join(" " if not value else _bar(value / largest) for value in values)


def _bar(share: float) -> str:
    return "▁▂▃▄▅▆▇█"[min(7, int(share * 8))]


def _short(number: float) -> str:
    return f"{number:.1f}" if number < 9.95 else f"{number:.0f}"
