"""What commands print: JSON with stable keys, or tables for people, coloured on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from pgqueue.cli.printable import printable, printable_json
from pgqueue.views.text import ago as ago
from pgqueue.views.text import ahead as ahead
from pgqueue.views.text import seconds as seconds
from pgqueue.views.text import shortened as shortened
from pgqueue.views.text import span as span

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


class Printer(Console):
    """A console that reads no text as markup, and lets no text command the terminal.

    In strings, characters that a terminal obeys are replaced before the text is measured, so that
    columns stay aligned. Characters inside other renderables are replaced when these are drawn.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text, lines=True), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text, lines=True), style, control)


def foreign(text: str, style: str = "") -> Text:
    """*text*, which others have written."""
    return Text(printable(text, lines=True), style)


def print_json(document: Any) -> None:
    """*document* on stdout: structs by their fields, instants in ISO 8601."""
    text = msgspec.json.format(msgspec.json.encode(document), indent=2)
    click.echo(printable_json(text.decode()))


def console() -> Console:
    """Stdout for people. In a pipe nothing is cut short, and NO_COLOR is heeded."""
    width = None if sys.stdout.isatty() else 500
    return Printer(width=width, highlight=False, soft_wrap=False)


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    """A table with these columns; those in *right* hold numbers. In a narrow terminal words are
    folded: a name or a cure that is cut short is useless."""
    made = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    numbers = set(right)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in numbers else "left"
        made.add_column(column, justify=justify, overflow="fold")
    return made


def state_text(state: str) -> Text:
    return Text(state, STYLES.get(state, ""))
