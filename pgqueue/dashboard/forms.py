"""The values of a form or an address, as text and as what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Final, TypeVar

from pgqueue.errors import InvalidFilter
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import State
from pgqueue.jobs.limits import Rate
from pgqueue.views import typed

T = TypeVar("T")

FILTERS: Final = (
    "state",
    "queue",
    "task",
    "tag",
    "key",
    "workflow",
    "error",
    "args",
    "older_than",
    "newer_than",
)
"""The fields of a form that say which jobs are meant."""


class Form:
    """Fields with their values; a field may be there several times.

    What cannot be read raises ValueError, with a sentence that names the field.
    """

    def __init__(self, fields: Iterable[tuple[str, object]]) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in fields:
            if isinstance(value, str):
                self._fields.setdefault(name, []).append(value)

    def all(self, name: str) -> list[str]:
        """Every value of *name*."""
        return self._fields.get(name, [])

    def text(self, name: str) -> str:
        """The value of *name* without spaces around it; empty where there is none."""
        return next(iter(self.all(name)), "").strip()

    def said(self, name: str) -> bool:
        """Is the field there at all?"""
        return name in self._fields

    def integer(self, name: str) -> int | None:
        """The number in *name*, None where it is empty."""
        return self._read(name, _whole)

    def duration(self, name: str) -> timedelta | None:
        """The length of time in *name*: 90d, 1h30m."""
        return self._read(name, typed.duration)

    def rate(self, name: str) -> Rate | None:
        """The rate in *name*: 100/60s."""
        return self._read(name, typed.rate)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every field with each of its values, to be sent on."""
        for name, values in self._fields.items():
            for value in values:
                yield name, value

    def filters(self) -> dict[str, str]:
        """The fields that say which jobs are meant, as far as they are filled in."""
        return {name: text for name in FILTERS if (text := self.text(name))}

    def filter(self) -> Filter:
        """Which jobs are meant."""
        args = self.text("args")
        try:
            return Filter(
                state=State(state) if (state := self.text("state")) else None,
                queue=self.text("queue") or None,
                task=self.text("task") or None,
                tag=self.text("tag") or None,
                key=self.text("key") or None,
                workflow=self.integer("workflow"),
                error=self.text("error") or None,
                args=dict([typed.comparison(args)]) if args else {},
                older_than=self.duration("older_than"),
                newer_than=self.duration("newer_than"),
            )
        except InvalidFilter as error:
            raise ValueError(str(error).removeprefix("Filter: ")) from None

    def _read(self, name: str, read: Callable[[str], T]) -> T | None:
        text = self.text(name)
        try:
            return read(text) if text else None
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def _whole(text: str) -> int:
    if len(text) < 19:
        with suppress(ValueError):
            return int(text)
    raise ValueError(f"{text!r:.40} is no whole number")
