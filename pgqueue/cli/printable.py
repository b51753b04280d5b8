"""Foreign text on somebody's terminal: `pgqueue.views.printable`, and how it is printed."""

from __future__ import annotations

import codecs
import json
import os
import sys
from io import TextIOWrapper
from typing import Any, Final

import click

from pgqueue.views.printable import printable
from pgqueue.views.printable import printable_json as views_printable_json

__all__ = ["be_open", "be_plain", "printable", "printable_json", "say"]

# Replacements for our drawing characters on a terminal that lacks them; it shows others that it
# lacks by number.
_PLAIN: Final = {
    **dict.fromkeys("─╌━┬┴", "-"),
    **dict.fromkeys("┼┤├╰╯╮╭┘└┌┐", "+"),
    "│": "|",
    "…": "...",
    "·": "-",
    "≥": ">=",
    "×": "x",
    "±": "+-",
    "✓": "+",
    "✗": "x",
    "●": "*",
    "◉": "@",
    "○": "o",
    "◌": "o",
    "◔": "o",
    "⊘": "/",
    "↻": "~",
    **dict(zip("▁▂▃▄▅▆▇█", "_.-=+*%#", strict=True)),
}


def printable_json(text: str) -> str:
    """The same JSON document as *text*, in characters that the terminal has and does not obey."""
    text = views_printable_json(text)
    if all(_takes_all(stream) for stream in (sys.stdout, sys.stderr)):
        return text
    return "".join(
        character if character.isascii() else json.dumps(character)[1:-1] for character in text
    )


def be_open() -> None:
    """Open on nothing what was closed of stdin, stdout and stderr, as by ``>&-``.

    Else the connection to the store would get its number, and what a child of a task prints would
    be sent to the server.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def be_plain() -> None:
    """From now on characters that stdout and stderr lack are printed as plain ones."""
    codecs.register_error("pgqueue.plain", _in_plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and not _takes_all(stream):
            stream.reconfigure(errors="pgqueue.plain")


def _takes_all(stream: object) -> bool:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return codecs.lookup(encoding).name.startswith("utf")


def _in_plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    plain = [_PLAIN.get(each) or ascii(each)[1:-1] for each in lacking]
    return "".join(plain), error.end


def say(text: str, *, err: bool = False, **options: Any) -> None:
    """Prints *text*, all of its lines."""
    click.echo(printable(text, lines=True), err=err, **options)
