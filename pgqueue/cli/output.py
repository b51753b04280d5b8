"""What commands print: JSON with stable keys, or tables for people, coloured on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLES: Final = {
    "blocked": "magenta",
    "scheduled": "cyan",
    "available": "blue",
    "running": "bold yellow",
    "retryable": "yellow",
    "completed": "green",
    "cancelled": "bright_black",
    "discarded": "bold red",
}
LIVE: Final = ("blocked", "scheduled", "available", "running", "retryable")


def print_json(document: Any) -> None:
    """*document* on stdout: structs by their fields, instants in ISO 8601."""
    text = msgspec.json.format(msgspec.json.encode(document), indent=2)
    click.echo(text.decode())


def console() -> Console:
    """Stdout for people. In a pipe nothing is cut short, and NO_COLOR is heeded."""
    width = None if sys.stdout.isatty() else 500
    return Console(width=width, highlight=False, soft_wrap=False)


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    """A table with these columns; those in *right* hold numbers."""
    made = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    numbers = set(right)
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left")
    return made


def state_text(state: str) -> Text:
    return Text(state, STYLES.get(state, ""))


def span(duration: timedelta | float | None) -> str:
    """*duration*, or seconds, in one number and unit: ``1.4 ms``, ``3 min``."""
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


def ago(instant: datetime | None, now: datetime | None = None) -> str:
    """How long *instant* is past: ``3 min ago``, or ahead: ``in 5 s``."""
    if instant is None:
        return ""
    passed = (now or datetime.now(UTC)) - instant
    return f"in {span(-passed)}" if passed < timedelta(0) else f"{span(passed)} ago"


def seconds(duration: timedelta | None) -> float | None:
    """*duration* for JSON."""
    return None if duration is None else round(duration.total_seconds(), 6)


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _short(number: float) -> str:
    return f"{number:.1f}" if number < 9.95 else f"{number:.0f}"
